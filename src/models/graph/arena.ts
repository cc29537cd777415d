/** A free or taken stretch of a region. */
export interface Chunk {
  readonly region: number;
  readonly start: number;
  size: number;
  isFree: boolean;
  before: Chunk | undefined;
  after: Chunk | undefined;
}

const MIB = 2 ** 20;
/** A chunk is not cut for a tensor that leaves less of it than this and than the tensor itself. */
const MOST_DEAD_BYTES = 128 * MIB;
const MOST_DOUBLED_BYTES = 1024 * MIB;

/**
 * ONNX Runtime's arena for the CPU, as its BFCArena grows by default: memory is taken in regions, each twice the one before or as
 * much as one tensor needs, and kept; a tensor gets the smallest free chunk that it fits into. What is touched of it is
 * what a process holds.
 */
export class Arena {
  readonly #free = new Set<Chunk>();
  /** How far each region was ever written. */
  readonly #touched: number[] = [];
  #nextRegion = MIB;

  take(bytes: number): Chunk {
    const size = Math.max(256, Math.ceil(bytes / 256) * 256);
    const chunk = this.#smallest(size) ?? this.#extend(size);
    this.#free.delete(chunk);
    chunk.isFree = false;
    if (chunk.size >= 2 * size || chunk.size - size >= MOST_DEAD_BYTES) this.#cut(chunk, size);
    this.#touched[chunk.region] = Math.max(this.#touched[chunk.region]!, chunk.start + bytes);
    return chunk;
  }

  giveBack(chunk: Chunk): void {
    chunk.isFree = true;
    const { before, after } = chunk;
    if (after?.isFree) this.#join(chunk, after);
    if (before?.isFree) this.#join(before, chunk);
    this.#free.add(before?.isFree ? before : chunk);
  }

  get touchedBytes(): number {
    return this.#touched.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Of equal ones that at the lowest address: regions grow downwards. */
  #smallest(size: number): Chunk | undefined {
    let found: Chunk | undefined;
    for (const chunk of this.#free)
      if (chunk.size >= size && (!found || isBefore(chunk, found))) found = chunk;
    return found;
  }

  #extend(size: number): Chunk {
    let grew = false;
    for (; this.#nextRegion < size; this.#nextRegion *= 2) grew = true;
    const region = this.#touched.push(0) - 1;
    const chunk = {
      region,
      start: 0,
      size: this.#nextRegion,
      isFree: true,
      before: undefined,
      after: undefined,
    };
    if (!grew && this.#nextRegion * 2 <= MOST_DOUBLED_BYTES) this.#nextRegion *= 2;
    return chunk;
  }

  #cut(chunk: Chunk, size: number): void {
    const rest: Chunk = {
      ...{ region: chunk.region, start: chunk.start + size, size: chunk.size - size, isFree: true },
      ...{ before: chunk, after: chunk.after },
    };
    if (chunk.after) chunk.after.before = rest;
    chunk.after = rest;
    chunk.size = size;
    this.#free.add(rest);
  }

  #join(first: Chunk, second: Chunk): void {
    this.#free.delete(second);
    first.size += second.size;
    first.after = second.after;
    if (second.after) second.after.before = first;
  }
}

function isBefore(a: Chunk, b: Chunk): boolean {
  if (a.size !== b.size) return a.size < b.size;
  return a.region === b.region ? a.start < b.start : a.region > b.region;
}
