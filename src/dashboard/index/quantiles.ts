/** The width of a bucket, as a ratio: a value is known to half a percent. */
const step = Math.log(1.01);
/** The smallest value that is told from smaller ones, and how many buckets there are above it: up to some 10 days in milliseconds. */
const least = 0.001;
const buckets = 2_800;

/** Counts durations in buckets that grow with them, so that quantiles of many take little time and memory. */
export class Quantiles {
  readonly #counts = new Uint32Array(buckets);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(value: number): void {
    const bucket = Math.round(Math.log(value / least) / step);
    this.#counts[Math.min(buckets - 1, Math.max(0, bucket))]! += 1;
    this.#count += 1;
  }

  /** The value that so large a share lies below, within half a percent; 0 where there are none. */
  at(share: number): number {
    if (this.#count === 0) return 0;
    const rank = Math.min(this.#count - 1, Math.floor(share * this.#count));
    let below = 0;
    for (const [bucket, count] of this.#counts.entries()) {
      below += count;
      if (below > rank) return least * Math.exp(bucket * step);
    }
    return least * Math.exp((buckets - 1) * step);
  }
}
