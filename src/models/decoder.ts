import { InputError } from '../errors.js';
import { KvBuffer } from './kv-buffer.js';
import { type Session, Tensor } from './session.js';
import type { KvCache } from './types.js';

/** A cache of a decoder that gives what is new alone. */
interface GrowingCache extends KvCache {
  readonly buffer?: KvBuffer;
}

/** The decoder with its KV cache as inputs and outputs, driven by the names and shapes the graph declares. */
export class Decoder {
  /** Cache inputs with an empty past. */
  readonly #empty: Record<string, Tensor> = {};
  /** Width of an embedding. */
  readonly H: number;

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
    const embeds = session.inner.inputMetadata.find(({ name }) => name === 'inputs_embeds');
    const H = embeds?.isTensor ? embeds.shape[2] : undefined;
    if (typeof H !== 'number') throw new InputError(`${session.file}: inputs_embeds must have a fixed width`);
    this.H = H;
  }

  /** embeds (S, H) after `past` → logits (V) of the last position and the longer cache. */
  async decode(embeds: Float32Array, S: number, past: GrowingCache | null) {
    const before = past?.length ?? 0;
    const feeds: Record<string, Tensor> = {
      inputs_embeds: new Tensor('float32', embeds, [1, S, embeds.length / S]),
      attention_mask: new Tensor('int64', new BigInt64Array(before + S).fill(1n), [1, before + S]),
      ...(past ? (past.tensors as Record<string, Tensor>) : this.#empty),
    };
    if (this.#takes('position_ids')) {
      const positions = BigInt64Array.from({ length: S }, (_, i) => BigInt(before + i));
      feeds.position_ids = new Tensor('int64', positions, [1, S]);
    }
    // Of exports that hold two decoders, one for the first pass, and of those that can be told how much to give.
    if (this.#takes('use_cache_branch')) feeds.use_cache_branch = new Tensor('bool', [past !== null], [1]);
    if (this.#takes('num_logits_to_keep')) feeds.num_logits_to_keep = new Tensor('int64', [1n], []);
    const { logits, ...outputs } = await this.session.run(feeds);
    const V = logits!.dims[logits!.dims.length - 1]!;
    const appended = renamed(outputs, 'appended.');
    const grows = Object.keys(appended).length > 0;
    const buffer = grows
      ? (past?.buffer ?? new KvBuffer(this.#empty)).append(before, S, appended)
      : undefined;
    const tensors = { ...renamed(outputs, 'present.'), ...buffer?.tensors };
    const all = logits!.data as Float32Array;
    const cache: GrowingCache = { length: before + S, tensors, buffer };
    return { logits: all.subarray(all.length - V), cache };
  }

  #takes(input: string): boolean {
    return this.session.inner.inputNames.includes(input);
  }
}

/** Outputs of a kind under the names of the inputs that they are for. */
function renamed(outputs: Record<string, Tensor>, kind: string): Record<string, Tensor> {
  const names = Object.keys(outputs).filter((name) => name.startsWith(kind));
  return Object.fromEntries(
    names.map((name) => [`past_key_values.${name.slice(kind.length)}`, outputs[name]!]),
  );
}
