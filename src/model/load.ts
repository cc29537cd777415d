import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { InputError } from '../pipeline/errors.js';
import type { KvCache, Model, PromptPart } from '../pipeline/model.js';
import { createPreprocessor } from '../pipeline/preprocess.js';
import type { EncodedFrame, PreparedFrame } from '../pipeline/types.js';
import { describeModel, type ModelDescription, readModelFolder } from './folder.js';
import { Session, Tensor } from './session.js';

export interface LoadOptions {
  /** Threads that ONNX Runtime may use; default 1. */
  readonly threads?: number;
}

/**
 * Loads a prepared model folder. Blocks the thread for as long as ONNX Runtime takes.
 * Throws an InputError that names what is missing or broken.
 */
export async function loadModel(dir: string, { threads = 1 }: LoadOptions = {}): Promise<Model> {
  const description = await describeModel(dir);
  const folder = await readModelFolder(description.dir);
  const sessions = await loadSessions(description, threads);
  const { manifest } = description;
  const tokenizer = new Tokenizer(folder.tokenizer, folder.tokenizerConfig);
  const template = new Template(folder.chatTemplate);
  const specialTokens = folder.tokenizer.added_tokens.map(({ content }) => content);
  const imageToken = folder.tokenizer.added_tokens.find(({ id }) => id === folder.config.image_token_index);
  if (!imageToken) {
    throw new InputError(
      `tokenizer.json must name the image token ${folder.config.image_token_index} of config.json`,
    );
  }
  const H = folder.config.text_config.hidden_size;
  const preprocessor = createPreprocessor(folder.preprocessor);
  const P = manifest.tower.grid.rows * manifest.tower.grid.columns;

  return {
    name: manifest.name,
    digest: description.digest,
    dtype: manifest.dtype,
    tower: { cls: manifest.tower.cls, P, grid: manifest.tower.grid },
    contextLength: manifest.contextLength,
    frameTimes: manifest.frameTimes,
    defaults: { frames: manifest.defaults.frames, compression: manifest.defaults.compression },
    decoderWidth: H,
    eosTokenIds: folder.generation.eos_token_id,
    imageTokenId: imageToken.id,
    imageToken: imageToken.content,
    specialTokens,
    preprocess: (frame) => preprocessor.preprocess(frame),
    encode: (frames) => encode(sessions.tower, frames, preprocessor),
    project: (tokens, T, compressed) =>
      project(compressed ? sessions.projectorTuned : sessions.projector, tokens, T),
    embed: (ids) => embed(sessions.embedTokens, ids),
    decode: (embeds, S, past) => sessions.decoder.decode(embeds, S, past),
    renderChat: (parts) => renderChat(template, parts, folder.tokenizerConfig.bos_token),
    tokenize: (text) => tokenizer.encode(text, { add_special_tokens: false }).ids,
    detokenize: (ids) => tokenizer.decode([...ids], { skip_special_tokens: true }),
    onnxMs: () => sessions.all.reduce((sum, session) => sum + session.ms, 0),
    release: async () => {
      await Promise.all(sessions.all.map((session) => session.release()));
    },
  };
}

async function loadSessions({ dir, manifest }: ModelDescription, threads: number) {
  const load = (file: string, inputs: string[], outputs: string[]) =>
    Session.load(join(dir, file), threads, { inputs, outputs });
  const { files } = manifest;
  const tower = await load(files.visionTower, ['pixel_values'], ['hidden', 'keys', 'scores']);
  const projector = await load(files.projector, ['hidden'], ['visual_tokens']);
  const projectorTuned = files.projectorTuned
    ? await load(files.projectorTuned, ['hidden'], ['visual_tokens'])
    : projector;
  const embedTokens = await load(files.embedTokens, ['input_ids'], ['inputs_embeds']);
  const decoder = await load(files.decoder, ['inputs_embeds', 'attention_mask'], ['logits']);
  return {
    tower,
    projector,
    projectorTuned,
    embedTokens,
    decoder: new Decoder(decoder),
    all: [...new Set([tower, projector, projectorTuned, embedTokens, decoder])],
  };
}

/** pixel_values (B, 3, H, W) → hidden (B, N, D), keys (B, N, K), scores (B, P). */
async function encode(
  tower: Session,
  frames: readonly PreparedFrame[],
  { width, height }: { readonly width: number; readonly height: number },
): Promise<EncodedFrame[]> {
  const B = frames.length;
  const pixels = new Float32Array(B * 3 * height * width);
  frames.forEach(({ pixelValues }, b) => {
    pixels.set(pixelValues, b * pixelValues.length);
  });
  const out = await tower.run({ pixel_values: new Tensor('float32', pixels, [B, 3, height, width]) });
  const [, N = 0, D = 0] = out.hidden!.dims;
  const K = out.keys!.dims[2]!;
  const P = out.scores!.dims[1]!;
  return frames.map(({ index, ptsSeconds }, b) => ({
    index,
    ptsSeconds,
    N,
    D,
    K,
    hidden: row(out.hidden!, b, N * D),
    keys: row(out.keys!, b, N * K),
    scores: row(out.scores!, b, P),
  }));
}

function row(tensor: Tensor, b: number, size: number): Float32Array {
  return (tensor.data as Float32Array).subarray(b * size, (b + 1) * size);
}

/** hidden (T, D) → visual_tokens (T, H). */
async function project(projector: Session, tokens: Float32Array, T: number): Promise<Float32Array> {
  const out = await projector.run({ hidden: new Tensor('float32', tokens, [T, tokens.length / T]) });
  return out.visual_tokens!.data as Float32Array;
}

/** input_ids (1, S) → inputs_embeds (1, S, H). */
async function embed(embedTokens: Session, ids: readonly number[]): Promise<Float32Array> {
  const input = new Tensor('int64', BigInt64Array.from(ids, BigInt), [1, ids.length]);
  const out = await embedTokens.run({ input_ids: input });
  return out.inputs_embeds!.data as Float32Array;
}

/** The decoder with its KV cache as inputs and outputs, driven by the names and shapes the graph declares. */
class Decoder {
  /** Cache inputs with an empty past. */
  readonly #empty: Record<string, Tensor> = {};
  readonly #wantsPositions: boolean;

  constructor(readonly session: Session) {
    for (const input of session.inner.inputMetadata) {
      if (!input.name.startsWith('past_key_values.')) continue;
      if (!input.isTensor) throw new InputError(`${session.file}: the input ${input.name} must be a tensor`);
      const [, heads, , headWidth] = input.shape;
      if (typeof heads !== 'number' || typeof headWidth !== 'number') {
        throw new InputError(
          `${session.file}: ${input.name} must have the shape (batch, heads, past, head width) ` +
            `with fixed heads and width, it is (${input.shape.join(', ')})`,
        );
      }
      this.#empty[input.name] = new Tensor('float32', new Float32Array(0), [1, heads, 0, headWidth]);
    }
    this.#wantsPositions = session.inner.inputNames.includes('position_ids');
  }

  /** embeds (S, H) after `past` → logits (V) of the last position and the longer cache. */
  async decode(embeds: Float32Array, S: number, past: KvCache | null) {
    const before = past?.length ?? 0;
    const feeds: Record<string, Tensor> = {
      inputs_embeds: new Tensor('float32', embeds, [1, S, embeds.length / S]),
      attention_mask: new Tensor('int64', new BigInt64Array(before + S).fill(1n), [1, before + S]),
      ...(past ? (past.tensors as Record<string, Tensor>) : this.#empty),
    };
    if (this.#wantsPositions) {
      const positions = BigInt64Array.from({ length: S }, (_, i) => BigInt(before + i));
      feeds.position_ids = new Tensor('int64', positions, [1, S]);
    }
    const { logits, ...present } = await this.session.run(feeds);
    const V = logits!.dims[logits!.dims.length - 1]!;
    const tensors = Object.fromEntries(
      Object.entries(present).map(([name, tensor]) => [
        name.replace(/^present\./, 'past_key_values.'),
        tensor,
      ]),
    );
    const all = logits!.data as Float32Array;
    return { logits: all.subarray(all.length - V), cache: { length: before + S, tensors } };
  }
}

function renderChat(template: Template, parts: readonly PromptPart[], bosToken: unknown): string {
  const messages = [{ role: 'user', content: parts }];
  return template.render({ messages, add_generation_prompt: true, bos_token: bosToken ?? '' });
}
