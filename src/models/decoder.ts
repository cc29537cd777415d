import { InputError } from '../errors.js';
import { KvBuffer } from './kv-buffer.js';
import { type Session, Tensor } from './session.js';
import type { KvCache, Positions } from './types.js';

/** What a decoder remembers: keys and values, and of recurrent layers (Qwen3.5, LFM2) states of a fixed size. */
const PAST = /^past_(key_values|conv|recurrent)\b/;

/**
 * So many tokens of a prompt go through at once. Attention takes memory for each pair of these and all before them, and the
 * rest of a layer for each of these: more would be no faster.
 */
export const TOGETHER = 512;

/** The cache of a decoder that gives the keys and values of new tokens alone. */
interface GrowingCache extends KvCache {
  readonly buffer?: KvBuffer;
}

/** The decoder with its KV cache as inputs and outputs, driven by the names and shapes the graph declares. */
export class Decoder {
  /** Cache inputs with an empty past. */
  readonly #empty: Record<string, Tensor> = {};
  /** Width of an embedding, without what DeepStack adds. */
  readonly #width: number;
  /** Layers behind which DeepStack adds to visual tokens. */
  readonly #deepLayers: number;
  /** Whether positions have three axes. */
  readonly #hasAxes: boolean;

  constructor(readonly session: Session) {
    for (const { name } of session.inner.inputMetadata)
      if (PAST.test(name)) this.#empty[name] = emptyState(session, name);
    const [, , width] = shapeOf(session, 'inputs_embeds');
    if (typeof width !== 'number')
      throw new InputError(`${session.file}: inputs_embeds must have a fixed width`);
    this.#width = width;
    const [layers = 0] = this.#takes(DEEPSTACK) ? shapeOf(session, DEEPSTACK) : [];
    if (typeof layers !== 'number')
      throw new InputError(`${session.file}: ${DEEPSTACK} must have a fixed number of layers`);
    this.#deepLayers = layers;
    this.#hasAxes = this.#takes('position_ids') && shapeOf(session, 'position_ids').length === 3;
  }

  /** Width of an embedding, and behind it what DeepStack adds after each of the first layers. */
  get H(): number {
    return this.#width * (1 + this.#deepLayers);
  }

  /** embeds (S, H) after `past` → logits (V) of the last position and the longer cache. */
  async decode(embeds: Float32Array, S: number, past: GrowingCache | null, positions?: Positions) {
    this.#requireWidth(embeds, S);
    let cache = past;
    for (let start = 0; ; start += TOGETHER) {
      const end = Math.min(start + TOGETHER, S);
      const part = embeds.subarray(start * this.H, end * this.H);
      const step = await this.#decodeTogether(
        part,
        end - start,
        cache,
        slicePositions(positions, S, start, end),
      );
      if (end === S) return step;
      cache = step.cache;
    }
  }

  #requireWidth(embeds: Float32Array, S: number): void {
    if (embeds.length === S * this.H) return;
    throw new InputError(
      `${this.session.file} takes ${this.H} numbers a token, got ${embeds.length} for ${S} tokens`,
      { fault: 'model' },
    );
  }

  async #decodeTogether(embeds: Float32Array, S: number, past: GrowingCache | null, positions?: Positions) {
    const before = past?.length ?? 0;
    const first = past?.nextPosition ?? 0;
    const feeds: Record<string, Tensor> = {
      ...this.#embeddings(embeds, S),
      attention_mask: new Tensor('int64', new BigInt64Array(before + S).fill(1n), [1, before + S]),
      ...(past ? (past.tensors as Record<string, Tensor>) : this.#empty),
    };
    if (this.#takes('position_ids')) feeds.position_ids = this.#positions(first, S, positions);
    // Of exports that hold two decoders, one for the first pass, and of those that can be told how much to give.
    if (this.#takes('use_cache_branch')) feeds.use_cache_branch = new Tensor('bool', [past !== null], [1]);
    if (this.#takes('num_logits_to_keep')) feeds.num_logits_to_keep = new Tensor('int64', [1n], []);
    const { logits, ...outputs } = await this.session.run(feeds);
    const V = logits!.dims[logits!.dims.length - 1]!;
    const { tensors, buffer } = this.#remember(outputs, S, past);
    const all = logits!.data as Float32Array;
    const bytes = Object.values(tensors).reduce(
      (sum, { size }) => sum + size * Float32Array.BYTES_PER_ELEMENT,
      0,
    );
    const nextPosition = positions?.next ?? first + S;
    const cache: GrowingCache = { length: before + S, nextPosition, bytes, tensors, buffer };
    return { logits: all.subarray(all.length - V), cache };
  }

  /** What the graph gave for S tokens behind `past`, as what it takes. */
  #remember(outputs: Record<string, Tensor>, S: number, past: GrowingCache | null) {
    const all = Object.entries(outputs);
    const appended = all.filter(([name]) => name.startsWith(APPENDED));
    const others = Object.fromEntries(
      all.filter(([name]) => !name.startsWith(APPENDED)).map(([name, tensor]) => [pastOf(name), tensor]),
    );
    if (appended.length === 0) return { tensors: others };
    const added = Object.fromEntries(appended.map(([name, tensor]) => [pastOf(name), tensor]));
    const buffer = (past?.buffer ?? KvBuffer.of(this.#empty)).append(past?.length ?? 0, S, added);
    return { tensors: { ...others, ...buffer.tensors }, buffer };
  }

  /** (S, H) as the graph wants them: DeepStack's parts are an input of their own (layers, 1, S, width). */
  #embeddings(embeds: Float32Array, S: number): Record<string, Tensor> {
    const [width, layers] = [this.#width, this.#deepLayers];
    if (layers === 0) return { inputs_embeds: new Tensor('float32', embeds, [1, S, width]) };
    const parts = Array.from({ length: 1 + layers }, () => new Float32Array(S * width));
    for (let s = 0; s < S; s++)
      parts.forEach((part, i) => {
        const start = (s * (1 + layers) + i) * width;
        part.set(embeds.subarray(start, start + width), s * width);
      });
    const deep = new Float32Array(layers * S * width);
    for (let i = 0; i < layers; i++) deep.set(parts[i + 1]!, i * S * width);
    return {
      inputs_embeds: new Tensor('float32', parts[0]!, [1, S, width]),
      [DEEPSTACK]: new Tensor('float32', deep, [layers, 1, S, width]),
    };
  }

  #positions(first: number, S: number, positions: Positions | undefined): Tensor {
    if (!this.#hasAxes) {
      const sequence = BigInt64Array.from({ length: S }, (_, i) => BigInt(first + i));
      return new Tensor('int64', sequence, [1, S]);
    }
    const axes = positions?.axes ?? BigInt64Array.from({ length: 3 * S }, (_, i) => BigInt(first + (i % S)));
    return new Tensor('int64', axes, [3, 1, S]);
  }

  #takes(input: string): boolean {
    return this.session.inner.inputNames.includes(input);
  }
}

const DEEPSTACK = 'deepstack_embeds';

/** Keys and values of the new tokens: `appendToCache` lets a graph give these instead of all. */
const APPENDED = 'appended.';

/** present.0.key and appended.0.key → past_key_values.0.key, present_conv.0 → past_conv.0 */
function pastOf(name: string): string {
  return name.replace(/^(present|appended)\./, 'past_key_values.').replace(/^present_/, 'past_');
}

/** Those of the tokens from `start` to `end`, of S. */
function slicePositions(
  positions: Positions | undefined,
  S: number,
  start: number,
  end: number,
): Positions | undefined {
  if (!positions || end - start === S) return positions;
  const axes = new BigInt64Array(3 * (end - start));
  for (let axis = 0; axis < 3; axis++)
    axes.set(positions.axes.subarray(axis * S + start, axis * S + end), axis * (end - start));
  return { axes, next: positions.next };
}

/** Keys and values of no tokens (1, heads, 0, width), or a state of zeros. */
function emptyState(session: Session, name: string): Tensor {
  const shape = shapeOf(session, name);
  const grows = name.startsWith('past_key_values.');
  const fixed = shape.map((size, axis) => (axis === 0 ? 1 : grows && axis === 2 ? 0 : size));
  if (!fixed.every((size) => typeof size === 'number')) {
    const wanted = grows
      ? '(batch, heads, past, head width) with fixed heads and width'
      : 'fixed sizes behind the batch';
    throw new InputError(
      `${session.file}: ${name} must have the shape ${wanted}, it is (${shape.join(', ')})`,
    );
  }
  const size = fixed.reduce((product, one) => product * one, 1);
  return new Tensor('float32', new Float32Array(size), fixed);
}

function shapeOf(session: Session, name: string): readonly (number | string)[] {
  const input = session.inner.inputMetadata.find((one) => one.name === name);
  if (!input?.isTensor) throw new InputError(`${session.file}: the input ${name} must be a tensor`);
  return input.shape;
}
