import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { InputError } from '../errors.js';
import { blameModel } from './fault.js';
import { tellDtypes } from './layout.js';
import { dtypesOf, type Manifest, manifestSchema } from './manifest.js';
import {
  type NativeConfig,
  type NativeTower,
  nativeConfigSchema,
  shapesConfigSchema,
} from './native-config.js';
import { requireWeights } from './prepare/weights.js';
import {
  type PreprocessorConfig,
  preprocessorConfigSchema,
  videoSamplingSchema,
} from './preprocessor-config.js';
import type { GenerationDefaults } from './types.js';

export const manifestFile = 'visionzip.json';

/** Beside the graphs every model has these. */
export const textFiles: readonly string[] = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
/** Each may be missing where others say the same. */
export const optionalFiles: readonly string[] = [
  'generation_config.json',
  'preprocessor_config.json',
  'processor_config.json',
  'video_preprocessor_config.json',
  'chat_template.jinja',
  'chat_template.json',
];

/** What a prepared model is, as far as that can be said without loading it. */
export interface ModelDescription {
  readonly dir: string;
  readonly name: string;
  readonly dtype: string;
  /** sha256 over the files that the runtime reads, hex. */
  readonly digest: string;
  readonly manifest: Manifest;
}

/** Reads the manifest and digests the files. Throws an InputError that names a missing or broken file. */
export async function describeModel(dir: string): Promise<ModelDescription> {
  return blameModel(`the model in ${dir}`, () => describe(resolve(dir)));
}

async function describe(path: string): Promise<ModelDescription> {
  const there = new Set(await readdir(path).catch(() => []));
  if (there.has('config.json') && !there.has(manifestFile))
    throw new InputError(
      `${join(path, manifestFile)} is missing: \`visionzip model prepare ${path}\` makes it`,
    );
  const manifest = await readJson(
    path,
    manifestFile,
    manifestSchema,
    `\`visionzip model prepare ${path}\` makes it again`,
  );
  await requireWeights(path, manifest.weights);
  const texts = [...textFiles, ...optionalFiles.filter((name) => there.has(name))];
  const digest = await digestFiles(path, contentOf(manifest), [...texts, ...Object.values(manifest.files)]);
  return { dir: path, name: manifest.name, dtype: tellDtypes(dtypesOf(manifest)), digest, manifest };
}

/** What the manifest says of the model, and not of this copy of it: the same on every machine. */
function contentOf({ weights, name: _, ...rest }: Manifest): string {
  return JSON.stringify({ ...rest, weights: weights.map(({ path, sha256 }) => ({ path, sha256 })) });
}

/** The parts of config.json and generation_config.json that the runtime needs. Original code marks pictures by −200. */
const tokenId = z
  .int()
  .nullish()
  .transform((id) => (id != null && id >= 0 ? id : undefined));
const configSchema = z
  .object({
    image_token_index: tokenId,
    image_token_id: tokenId,
    video_token_index: tokenId,
    video_token_id: tokenId,
    vision_start_token_id: tokenId,
    vision_end_token_id: tokenId,
  })
  .transform((config) => ({
    imageTokenId: config.image_token_index ?? config.image_token_id,
    videoTokenId: config.video_token_index ?? config.video_token_id,
    visionStartTokenId: config.vision_start_token_id,
    visionEndTokenId: config.vision_end_token_id,
  }));
const eosSchema = z.object({
  eos_token_id: z.union([z.int().transform((id) => [id]), z.array(z.int())]).nullish(),
});
/** Where it says nothing, transformers' own defaults; a temperature or a top k of 0 is how some write that they do not sample so. */
const generationSchema = z
  .object({
    do_sample: z.boolean().nullish(),
    temperature: z.number().min(0).nullish(),
    top_k: z.int().min(0).nullish(),
    top_p: z.number().min(0).max(1).nullish(),
    repetition_penalty: z.number().positive().nullish(),
    max_new_tokens: z.int().positive().nullish(),
  })
  .transform(({ do_sample, temperature, top_k, top_p, repetition_penalty, max_new_tokens }) => ({
    samples: do_sample === true && temperature !== 0,
    temperature: temperature ?? 1,
    ...(top_k !== 0 && { topK: top_k ?? 50 }),
    topP: top_p ?? 1,
    repetitionPenalty: repetition_penalty ?? 1,
    ...(max_new_tokens && { maxNewTokens: max_new_tokens }),
  }));
/** A token as its text, or as an object that holds it. */
const tokenSchema = z.union([
  z.string(),
  z.looseObject({ content: z.string() }).transform(({ content }) => content),
]);
const templateSchema = z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]);
const tokenizerConfigSchema = z.looseObject({
  bos_token: tokenSchema.nullish(),
  eos_token: tokenSchema.nullish(),
  chat_template: templateSchema.nullish(),
});
const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string() })),
});

export type ModelFolder = Awaited<ReturnType<typeof readModelFolder>>;

/** The small files of a model folder, read and checked. Throws an InputError that says what is missing or wrong. */
export async function readModelFolder(dir: string) {
  const config = await readJson(dir, 'config.json', configSchema);
  const tokenizer = await readJson(dir, 'tokenizer.json', tokenizerSchema);
  const tokenizerConfig = await readJson(dir, 'tokenizer_config.json', tokenizerConfigSchema);
  const imageToken = tokenizer.added_tokens.find(({ id, content }) =>
    config.imageTokenId === undefined ? content === '<image>' : id === config.imageTokenId,
  );
  if (!imageToken)
    throw new InputError(
      `tokenizer.json must name the image token ${config.imageTokenId ?? '<image>'} that config.json speaks of`,
    );
  return {
    config,
    imageToken: { id: imageToken.id, content: imageToken.content },
    eosTokenIds: await readEosTokenIds(dir, tokenizerConfig.eos_token, tokenizer.added_tokens),
    generationDefaults: await readGenerationDefaults(dir),
    tokenizer,
    tokenizerConfig,
    chatTemplate: await readChatTemplate(dir, tokenizerConfig.chat_template),
  };
}

/** Whether a file says how pictures are prepared; newer publications leave a stub that does not. */
const anySettings = z.looseObject({});

/**
 * How pictures are prepared: preprocessor_config.json, or `image_processor` of processor_config.json, where newer publications
 * have it. How a video is sampled stands beside it, in `video_processor` or in video_preprocessor_config.json.
 *
 * @throws InputError that names the file at fault.
 */
export async function readPreprocessor(dir: string): Promise<PreprocessorConfig> {
  const { image, video } = await findSettings(dir);
  const parsed = parse(dir, image, preprocessorConfigSchema);
  const sampling = videoSamplingSchema.safeParse(video?.value);
  return {
    ...parsed,
    video_sampling: parsed.video_sampling ?? (sampling.success ? sampling.data : undefined),
  };
}

/**
 * The same for models that take pictures in their own proportions. Where nothing is said of videos, the settings of pictures
 * hold.
 *
 * @throws InputError that names the file at fault.
 */
export async function readNativePreprocessor(
  dir: string,
  { gridInput }: Pick<NativeTower, 'gridInput'>,
): Promise<{ readonly image: NativeConfig; readonly video: NativeConfig }> {
  const { image, video } = await findSettings(dir);
  const schema = gridInput === 'spatial_shapes' ? shapesConfigSchema : nativeConfigSchema;
  const parsed: NativeConfig = parse(dir, image, schema);
  return { image: parsed, video: video ? parse(dir, video, schema) : parsed };
}

/** Settings as a file has them, perhaps within others. */
interface FoundSettings {
  readonly file: string;
  readonly within: readonly string[];
  readonly value: unknown;
}

async function findSettings(dir: string): Promise<{ image: FoundSettings; video?: FoundSettings }> {
  const own = await readOptional(dir, 'preprocessor_config.json', anySettings);
  const processor = await readOptional(
    dir,
    'processor_config.json',
    z.looseObject({ image_processor: anySettings.nullish(), video_processor: anySettings.nullish() }),
  );
  const nested = (name: 'image_processor' | 'video_processor'): FoundSettings | undefined => {
    const value = processor?.[name];
    return value ? { file: 'processor_config.json', within: [name], value } : undefined;
  };
  const file = 'video_preprocessor_config.json';
  const beside = await readOptional(dir, file, anySettings);
  const video = nested('video_processor') ?? (beside && { file, within: [], value: beside });
  const isStub = !(own && 'image_mean' in own);
  const image: FoundSettings = (isStub && nested('image_processor')) || {
    ...{ file: 'preprocessor_config.json', within: [] },
    value: own ?? (await readJson(dir, 'preprocessor_config.json', anySettings)),
  };
  return { image, ...(video && { video }) };
}

function parse<S extends z.ZodType>(
  dir: string,
  { file, within, value }: FoundSettings,
  schema: S,
): z.output<S> {
  return check(dir, file, schema, value, { within });
}

/** From generation_config.json, else the tokenizer's own. */
async function readEosTokenIds(
  dir: string,
  eosToken: string | null | undefined,
  addedTokens: readonly { readonly id: number; readonly content: string }[],
): Promise<number[]> {
  const generation = await readOptional(dir, 'generation_config.json', eosSchema);
  if (generation?.eos_token_id) return generation.eos_token_id;
  const added = addedTokens.find(({ content }) => content === eosToken);
  if (added) return [added.id];
  throw new InputError(
    `${dir} must say in generation_config.json or tokenizer_config.json which token ends an answer`,
  );
}

/** How the model answers by its own generation_config.json; by transformers' defaults where it has none. */
export async function readGenerationDefaults(dir: string): Promise<GenerationDefaults> {
  return (await readOptional(dir, 'generation_config.json', generationSchema)) ?? generationSchema.parse({});
}

/** In a file of its own, in JSON, or in the tokenizer's configuration: newer and older publications differ. */
async function readChatTemplate(
  dir: string,
  configured: z.output<typeof templateSchema> | null | undefined,
): Promise<{ readonly file: string; readonly text: string }> {
  const file = join(dir, 'chat_template.jinja');
  const whole = await readFile(file, 'utf8').catch(() => null);
  if (whole !== null) return { file, text: whole };
  const json = await readOptional(dir, 'chat_template.json', z.object({ chat_template: templateSchema }));
  const template = json?.chat_template ?? configured;
  const text =
    typeof template === 'string' ? template : template?.find(({ name }) => name === 'default')?.template;
  const holder = json ? 'chat_template.json' : 'tokenizer_config.json';
  if (text !== undefined) return { file: join(dir, holder), text };
  throw new InputError(
    `${dir} must hold a chat template: chat_template.jinja, chat_template.json, or \`chat_template\` in tokenizer_config.json`,
  );
}

async function readOptional<S extends z.ZodType>(
  dir: string,
  name: string,
  schema: S,
): Promise<z.output<S> | undefined> {
  const there = await stat(join(dir, name)).catch(() => null);
  return there ? readJson(dir, name, schema) : undefined;
}

/**
 * Reads and checks a JSON file of a model. Throws an InputError that names a missing or broken file.
 *
 * @param remedy what to do about one that does not fit the schema.
 */
export async function readJson<S extends z.ZodType>(
  dir: string,
  name: string,
  schema: S,
  remedy?: string,
): Promise<z.output<S>> {
  const text = await readText(dir, name);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${join(dir, name)} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  return check(dir, name, schema, value, { remedy });
}

/** `within`: the path of `value` in the file. */
function check<S extends z.ZodType>(
  dir: string,
  name: string,
  schema: S,
  value: unknown,
  { within = [], remedy }: { readonly within?: readonly string[]; readonly remedy?: string | undefined },
): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(
    ({ path, message }) => `\`${[...within, ...path].join('.')}\`: ${message}`,
  );
  const more = faults.length > 3 ? [`and ${faults.length - 3} more`] : [];
  const told = [...faults.slice(0, 3), ...more, ...(remedy ? [remedy] : [])].join('; ');
  throw new InputError(`${join(dir, name)} is not as expected: ${told}`);
}

async function readText(dir: string, name: string): Promise<string> {
  try {
    return await readFile(join(dir, name), 'utf8');
  } catch (error) {
    throw missing(dir, name, error);
  }
}

async function digestFiles(dir: string, manifest: string, names: readonly string[]): Promise<string> {
  const all = createHash('sha256').update(manifest);
  for (const name of [...names].sort()) {
    const one = createHash('sha256');
    try {
      if (!(await stat(join(dir, name))).isFile()) throw new Error('it is no regular file');
      await pipeline(createReadStream(join(dir, name), { highWaterMark: 2 ** 20 }), one);
    } catch (error) {
      throw missing(dir, name, error);
    }
    all.update(`${name}\n${one.digest('hex')}\n`);
  }
  return all.digest('hex');
}

function missing(dir: string, name: string, cause: unknown): InputError {
  const reason = (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
  return new InputError(`the model ${basename(dir)} needs the file ${join(dir, name)}: ${reason}`, { cause });
}
