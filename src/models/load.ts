import { totalmem } from 'node:os';
import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { InputError } from '../errors.js';
import { createPictureCrops } from './crops.js';
import { Decoder } from './decoder.js';
import { blameModel, faultOfModel } from './fault.js';
import { describeModel, type ModelDescription, readModelFolder } from './folder.js';
import { isSmall, measureModel } from './inspect.js';
import { NEWLINE, readNewline } from './newline.js';
import { createPreprocessor } from './preprocess.js';
import type { Provider } from './providers.js';
import { Session, Tensor } from './session.js';
import type { Model, PromptPart } from './types.js';
import { createVision } from './vision.js';

export interface LoadOptions {
  /** Threads that ONNX Runtime may use; default 1. */
  readonly threads?: number;
  /** Default cpu. */
  readonly provider?: Provider;
}

/**
 * Loads a prepared model folder. Blocks the thread for as long as ONNX Runtime takes.
 *
 * @throws InputError of the fault `model` that names what is missing or broken.
 */
export async function loadModel(dir: string, options: LoadOptions = {}): Promise<Model> {
  return blameModel(`the model in ${dir}`, () => load(dir, options));
}

async function load(dir: string, { threads = 1, provider = 'cpu' }: LoadOptions): Promise<Model> {
  const description = await describeModel(dir);
  await requireMemory(description);
  const folder = await readModelFolder(description.dir);
  // All that can be wrong in a text file is found before anything large is loaded.
  const { manifest } = description;
  const { config, imageToken } = folder;
  const tokenizer = await blameModel(
    join(dir, 'tokenizer.json'),
    () => new Tokenizer(folder.tokenizer, folder.tokenizerConfig),
  );
  const template = await blameModel(folder.chatTemplate.file, () => new Template(folder.chatTemplate.text));
  const specialTokens = folder.tokenizer.added_tokens.map(({ content }) => content);
  if (manifest.frames === 'video' && config.videoTokenId == null)
    throw new InputError(
      'config.json must have a `video_token_index`: this family shows frames as one video',
    );
  const newline = await readNewline(description.dir, manifest);
  const preprocessor = createPreprocessor(folder.preprocessor);
  const resolutions = manifest.pictureResolutions;
  const crops = resolutions && createPictureCrops(resolutions, preprocessor, folder.preprocessor.resample);
  const sessions = await loadSessions(description, threads, provider);
  const grid = manifest.tower.pooled ?? manifest.tower.grid;

  return {
    name: manifest.name,
    digest: description.digest,
    dtype: manifest.dtype,
    tower: {
      cls: manifest.tower.cls,
      keepsCls: manifest.tower.keepsCls,
      compressible: manifest.tower.keyWidth > 0,
      P: grid.rows * grid.columns,
      grid,
    },
    contextLength: manifest.contextLength,
    frameTimes: manifest.frameTimes,
    defaults: { frames: manifest.defaults.frames, compression: manifest.defaults.compression },
    decoderWidth: sessions.decoder.H,
    eosTokenIds: folder.eosTokenIds,
    imageTokenId: imageToken.id,
    imageToken: imageToken.content,
    specialTokens,
    preprocess: (frame) => preprocessor.preprocess(frame),
    ...(crops && { crops }),
    ...createVision(manifest, sessions, preprocessor),
    ...(manifest.frames === 'video' && { video: { tokenId: config.videoTokenId! } }),
    ...(manifest.frames === 'sentences' && { sentences: true }),
    ...(newline && { newline: { id: NEWLINE, after: newline.after } }),
    embed: (ids) => embed(sessions.embedTokens, ids, newline?.embedding),
    decode: (embeds, S, past) => sessions.decoder.decode(embeds, S, past),
    renderChat: (parts) => {
      try {
        return renderChat(template, parts, folder.tokenizerConfig.bos_token, imageToken.content);
      } catch (error) {
        throw faultOfModel(folder.chatTemplate.file, error);
      }
    },
    tokenize: (text) => {
      // A template may write the first token itself; else the tokenizer adds it where the family has one.
      const begun = text.startsWith(folder.tokenizerConfig.bos_token || '\0');
      return tokenizer.encode(text, { add_special_tokens: !begun }).ids;
    },
    detokenize: (ids) => tokenizer.decode([...ids], { skip_special_tokens: true }),
    onnxMs: () => sessions.all.reduce((sum, session) => sum + session.ms, 0),
    release: async () => {
      await Promise.all(sessions.all.map((session) => session.release()));
    },
  };
}

/**
 * Better a sentence now than a process that the system kills. Held against all the memory there is, or may be used: what is
 * free at the moment says little, since caches give way.
 */
async function requireMemory({ dir, name, manifest }: ModelDescription): Promise<void> {
  const limit = process.constrainedMemory();
  const most = limit > 0 ? Math.min(limit, totalmem()) : totalmem();
  if (await isSmall(dir, manifest, most)) return;
  const { memoryBytes } = await measureModel(dir, manifest);
  if (memoryBytes <= most) return;
  const mib = (bytes: number) => Math.ceil(bytes / 2 ** 20);
  throw new InputError(
    `${name} needs about ${mib(memoryBytes)} MiB of memory, this machine gives ${mib(most)} MiB; ` +
      'weights of a smaller type need less (`visionzip model pull --dtype q4`)',
  );
}

async function loadSessions({ dir, manifest }: ModelDescription, threads: number, provider: Provider) {
  const load = (file: string, inputs: string[], outputs: string[]) =>
    Session.load(join(dir, file), threads, { inputs, outputs }, provider);
  const { files } = manifest;
  const project = async (file: string | undefined) =>
    file === undefined ? undefined : load(file, ['hidden'], ['visual_tokens']);
  const scored = manifest.tower.keyWidth > 0 ? ['keys', 'scores'] : [];
  const tower = await load(files.visionTower, ['pixel_values'], ['hidden', ...scored]);
  const projector = await project(files.projector);
  const projectorTuned = (await project(files.projectorTuned)) ?? projector;
  const embedTokens = await load(files.embedTokens, ['input_ids'], ['inputs_embeds']);
  const decoder = await load(files.decoder, ['inputs_embeds', 'attention_mask'], ['logits']);
  return {
    tower,
    projector,
    projectorTuned,
    embedTokens,
    decoder: new Decoder(decoder),
    all: [...new Set([tower, projector, projectorTuned, embedTokens, decoder])].filter(
      (session) => session !== undefined,
    ),
  };
}

/** Token ids (S) → (S, H). `NEWLINE` is no word, and has an embedding of its own. */
async function embed(
  session: Session,
  ids: readonly number[],
  newline: Float32Array | undefined,
): Promise<Float32Array> {
  const words = BigInt64Array.from(ids, (id) => BigInt(id === NEWLINE ? 0 : id));
  const out = await session.run({ input_ids: new Tensor('int64', words, [1, ids.length]) });
  const embeds = out.inputs_embeds!.data as Float32Array;
  if (newline)
    ids.forEach((id, i) => {
      if (id === NEWLINE) embeds.set(newline, i * newline.length);
    });
  return embeds;
}

/** One user message. Older templates want its content as a string, with the image tokens written out. */
function renderChat(
  template: Template,
  parts: readonly PromptPart[],
  bosToken: string | null | undefined,
  imageToken: string,
): string {
  const render = (content: unknown): string => {
    const messages = [{ role: 'user', content }];
    return template.render({ messages, add_generation_prompt: true, bos_token: bosToken ?? '' });
  };
  const text = render(parts);
  const images = parts.filter(({ type }) => type === 'image').length;
  if (text.split(imageToken).length - 1 >= images) return text;
  return render(parts.map((part) => (part.type === 'text' ? part.text : `${imageToken}\n`)).join(''));
}
