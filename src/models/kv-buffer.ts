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
  constructor(
    readonly tensors: Readonly<Record<string, Tensor>>,
    used = 0,
  ) {
    this.#used = used;
  }

  /**
   * Puts what a decoder gave for S tokens, each (1, heads, S, width), behind the first `before`: in this buffer, or in a copy of
   * these where they are not the last, or there is no room. Returns the buffer that holds all of them.
   */
  append(before: number, S: number, appended: Readonly<Record<string, Tensor>>): KvBuffer {
    const fits = Object.values(this.tensors).every(({ dims }) => before + S <= dims[2]!);
    const buffer = before === this.#used && fits ? this : this.#copy(before, before + S);
    for (const [name, tensor] of Object.entries(appended))
      copyTokens(tensor, buffer.tensors[name]!, { from: 0, to: before, count: S });
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
      copyTokens(tensor, copy, { from: 0, to: 0, count });
      return [name, copy];
    });
    return new KvBuffer(Object.fromEntries(copies), count);
  }
}

function copyTokens(
  source: Tensor,
  target: Tensor,
  { from, to, count }: { from: number; to: number; count: number },
): void {
  const [, heads = 0, sourceLength = 0, width = 0] = source.dims;
  const targetLength = target.dims[2]!;
  const [read, write] = [source.data as Float32Array, target.data as Float32Array];
  for (let head = 0; head < heads; head++) {
    const start = (head * sourceLength + from) * width;
    write.set(read.subarray(start, start + count * width), (head * targetLength + to) * width);
  }
}
