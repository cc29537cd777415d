import { Tensor } from './session.js';

/** Room is made for so many tokens at once: each copy of the cache lasts that long, and half of it is looked at in vain. */
const ROOM = 128;

/**
 * Keys and values with room for more behind them. Caches that share their beginning may share a buffer: each knows how
 * many tokens are its own, and what another put behind them is not.
 */
export class KvBuffer {
  #used: number;

  /** `tensors`: the decoder's inputs, each (1, heads, capacity, width), of which `used` tokens are in use. */
  private constructor(
    readonly tensors: Readonly<Record<string, Tensor>>,
    used: number,
  ) {
    this.#used = used;
  }

  /** Without room, for a decoder's keys and values among what it remembers, each (1, heads, 0, width). */
  static of(empty: Readonly<Record<string, Tensor>>): KvBuffer {
    const growing = Object.entries(empty).filter(([name]) => name.startsWith('past_key_values.'));
    return new KvBuffer(Object.fromEntries(growing), 0);
  }

  /**
   * Puts what a decoder gave for S tokens, each (1, heads, S, width), behind the first `before`: in this buffer, or in a copy of
   * these where they are not the last, or there is no room. Returns the buffer that holds all of them.
   */
  append(before: number, S: number, appended: Readonly<Record<string, Tensor>>): KvBuffer {
    const fits = Object.values(this.tensors).every(({ dims }) => before + S <= dims[2]!);
    const buffer = before === this.#used && fits ? this : this.#copy(before, before + S);
    for (const [name, tensor] of Object.entries(appended))
      copyTokens(tensor, buffer.tensors[name]!, before, S);
    buffer.#used = before + S;
    return buffer;
  }

  /** The first `count` tokens, with room for `least` and more. */
  #copy(count: number, least: number): KvBuffer {
    const capacity = Math.ceil(least / ROOM) * ROOM;
    const copies = Object.entries(this.tensors).map(([name, tensor]) => {
      const [, heads = 0, , width = 0] = tensor.dims;
      const floats = new Float32Array(heads * capacity * width);
      const copy = new Tensor('float32', floats, [1, heads, capacity, width]);
      copyTokens(tensor, copy, 0, count);
      return [name, copy];
    });
    return new KvBuffer(Object.fromEntries(copies), count);
  }
}

/** The first `count` tokens of one behind the first `at` of the other. */
function copyTokens(source: Tensor, target: Tensor, at: number, count: number): void {
  const [, heads = 0, length = 0, width = 0] = source.dims;
  const room = target.dims[2]!;
  const [read, write] = [source.data as Float32Array, target.data as Float32Array];
  for (let head = 0; head < heads; head++) {
    const start = head * length * width;
    write.set(read.subarray(start, start + count * width), (head * room + at) * width);
  }
}
