/** Up to so many values are kept; more are counted in buckets. */
const kept = 4096;
/** From one bucket to the next. */
const growth = 1.01;

/**
 * Percentiles of values from 0 up, by the nearest rank: the lowest value that so large a share of them does not exceed. Exact for
 * 4,096 values; of more each is known to half a per cent, in memory that does not grow.
 */
export class Quantiles {
  count = 0;
  sum = 0;
  #values: number[] = [];
  #buckets: Map<number, number> | null = null;

  add(value: number): void {
    this.count += 1;
    this.sum += value;
    if (this.#buckets) this.#fill(value);
    else this.#values.push(value);
    if (this.#values.length <= kept) return;
    this.#buckets = new Map();
    for (const one of this.#values.splice(0)) this.#fill(one);
  }

  /** @param share in (0, 1]; NaN where there are no values. */
  at(share: number): number {
    const rank = Math.max(1, Math.ceil(share * this.count));
    if (!this.#buckets) return this.#values.sort((a, b) => a - b)[rank - 1] ?? Number.NaN;
    let below = 0;
    for (const [bucket, count] of [...this.#buckets].sort(([a], [b]) => a - b)) {
      below += count;
      if (below >= rank) return middleOf(bucket);
    }
    return Number.NaN;
  }

  #fill(value: number): void {
    const bucket = value <= 0 ? -Infinity : Math.floor(Math.log(value) / Math.log(growth));
    this.#buckets!.set(bucket, (this.#buckets!.get(bucket) ?? 0) + 1);
  }
}

function middleOf(bucket: number): number {
  return bucket === -Infinity ? 0 : growth ** (bucket + 0.5);
}
