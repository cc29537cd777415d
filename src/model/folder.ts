import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { InputError } from '../pipeline/errors.js';
import { preprocessorConfigSchema } from '../pipeline/preprocess.js';
import { type Manifest, manifestSchema } from './manifest.js';

const manifestFile = 'visionzip.json';

const textFiles = [
  manifestFile,
  'config.json',
  'generation_config.json',
  'preprocessor_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
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
  const path = resolve(dir);
  const manifest = await readJson(path, manifestFile, manifestSchema);
  const files = [...textFiles, ...Object.values(manifest.files)].sort();
  const digest = await digestFiles(path, files);
  return { dir: path, name: manifest.name, dtype: manifest.dtype, digest, manifest };
}

/** The parts of config.json and generation_config.json that the runtime needs. */
const configSchema = z.object({
  image_token_index: z.int().min(0),
  text_config: z.object({ hidden_size: z.int().positive() }),
});
const generationConfigSchema = z.object({
  eos_token_id: z.union([z.int().transform((id) => [id]), z.array(z.int())]),
});
const tokenizerConfigSchema = z.looseObject({ bos_token: z.string().nullish() });
const tokenizerSchema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: z.int(), content: z.string() })),
});

/** The small files of a model folder, read and checked. */
export async function readModelFolder(dir: string) {
  return {
    config: await readJson(dir, 'config.json', configSchema),
    generation: await readJson(dir, 'generation_config.json', generationConfigSchema),
    preprocessor: await readJson(dir, 'preprocessor_config.json', preprocessorConfigSchema),
    tokenizer: await readJson(dir, 'tokenizer.json', tokenizerSchema),
    tokenizerConfig: await readJson(dir, 'tokenizer_config.json', tokenizerConfigSchema),
    chatTemplate: await readText(dir, 'chat_template.jinja'),
  };
}

async function readJson<S extends z.ZodType>(dir: string, name: string, schema: S): Promise<z.output<S>> {
  const text = await readText(dir, name);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${join(dir, name)} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `\`${path.join('.')}\`: ${message}`);
  const more = faults.length > 3 ? `; and ${faults.length - 3} more` : '';
  throw new InputError(`${join(dir, name)} is not as expected: ${faults.slice(0, 3).join('; ')}${more}`);
}

async function readText(dir: string, name: string): Promise<string> {
  try {
    return await readFile(join(dir, name), 'utf8');
  } catch (error) {
    throw missing(dir, name, error);
  }
}

async function digestFiles(dir: string, names: readonly string[]): Promise<string> {
  const all = createHash('sha256');
  for (const name of names) {
    const one = createHash('sha256');
    try {
      if (!(await stat(join(dir, name))).isFile()) throw new Error('it is no regular file');
      await pipeline(createReadStream(join(dir, name)), one);
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
