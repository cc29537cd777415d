import { randomInt } from 'node:crypto';
import type { Generation } from './types.js';

/** Picks the next token from logits (V). */
export type PickToken = (logits: Float32Array) => number;

/**
 * Greedy unless `temperature` is above 0; then the top k, then the top p of what is left, then one drawn at
 * random. The same seed gives the same picks; without one a seed is drawn. The vocabulary is never sorted: at
 * 150,000 words that would take longer than a decode step.
 *
 * @param prompt tokens that count as there before, with a `repetitionPenalty`.
 */
export function createSampler(generation: Generation, prompt: readonly number[] = []): PickToken {
  const pick = createPicker(generation);
  const { repetitionPenalty = 1 } = generation;
  return repetitionPenalty === 1 ? pick : penalizeRepetition(pick, repetitionPenalty, prompt);
}

/**
 * What was there before becomes less likely, before anything else is done: positive logits are divided by the penalty, negative
 * ones multiplied with it (arXiv 1909.05858, section 4.1, as transformers has it).
 */
function penalizeRepetition(pick: PickToken, penalty: number, prompt: readonly number[]): PickToken {
  const seen = new Set(prompt);
  return (logits) => {
    const changed = logits.slice();
    for (const token of seen) {
      const logit = changed[token];
      // Not every token of a prompt is one that can be answered, such as a newline's embedding.
      if (logit !== undefined) changed[token] = logit < 0 ? logit * penalty : logit / penalty;
    }
    const token = pick(changed);
    seen.add(token);
    return token;
  };
}

function createPicker({ temperature = 0, topK, topP = 1, seed }: Generation): PickToken {
  if (temperature <= 0) return argmax;
  const random = seededRandom(seed ?? randomInt(2 ** 32));
  return (logits) => {
    const ranking = new Ranking(logits, temperature);
    if (topK !== undefined) ranking.keepCount(topK);
    if (topP < 1) {
      const enough = topP * ranking.sum();
      ranking.keepUntil((sum) => sum >= enough);
    }
    const drawn = random() * ranking.sum();
    return ranking.keepUntil((sum) => sum > drawn);
  };
}

/** The index of the highest value; a tie goes to the lowest index. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** Into how many buckets tokens are put by their logits. */
const BUCKETS = 2048;
/** So far below the highest, in temperatures, that e to that power is nothing: what lies lower shares the last bucket. */
const DEPTH = 30;

/**
 * Tokens, likeliest first, a tie going to the lower one. They are put into buckets by their logits, and only the bucket in
 * which a cut falls is sorted.
 */
class Ranking {
  readonly #logits: Float32Array;
  readonly #temperature: number;
  readonly #highest: number;
  /** (V) bucket of each token. */
  readonly #bucketOf: Uint16Array;
  /** What is kept: all buckets before this one, and of this one these tokens, likeliest first. */
  #cut: { readonly bucket: number; readonly tokens: readonly number[] } = { bucket: BUCKETS, tokens: [] };
  #sums: Float64Array | null = null;

  constructor(logits: Float32Array, temperature: number) {
    this.#logits = logits;
    this.#temperature = temperature;
    this.#highest = logits[argmax(logits)]!;
    this.#bucketOf = chooseBuckets(logits, this.#highest, DEPTH * temperature);
  }

  keepCount(count: number): void {
    if (count >= this.#logits.length) return;
    const counts = new Uint32Array(BUCKETS);
    for (const bucket of this.#bucketOf) counts[bucket]! += 1;
    let before = 0;
    let bucket = 0;
    while (before + counts[bucket]! < count) before += counts[bucket++]!;
    this.#cut = { bucket, tokens: this.#sort(bucket).slice(0, count - before) };
  }

  /** Sum of the kept tokens' weights: probabilities, but for their scale. */
  sum(): number {
    const { bucket, tokens } = this.#cut;
    const sums = this.#sumBuckets();
    let whole = 0;
    for (let i = 0; i < bucket; i++) whole += sums[i]!;
    return tokens.reduce((sum, token) => sum + this.#weigh(token), whole);
  }

  /** Keeps the fewest whose weights have a sum that is enough, else all; returns the last of them. */
  keepUntil(isEnough: (sum: number) => boolean): number {
    const sums = this.#sumBuckets();
    let before = 0;
    let bucket = 0;
    let latest = -1;
    for (; bucket < this.#cut.bucket && !isEnough(before + sums[bucket]!); bucket++) {
      before += sums[bucket]!;
      if (sums[bucket]! > 0) latest = bucket;
    }
    const isCut = bucket === this.#cut.bucket;
    // Sums may be rounded so that nothing is enough: then the last token that has a weight is.
    if (isCut && this.#cut.tokens.length === 0) return this.#sort(latest).at(-1)!;
    const tokens = isCut ? this.#cut.tokens : this.#sort(bucket);
    let last = 0;
    for (; last < tokens.length - 1; last++) {
      before += this.#weigh(tokens[last]!);
      if (isEnough(before)) break;
    }
    this.#cut = { bucket, tokens: tokens.slice(0, last + 1) };
    return tokens[last]!;
  }

  /** Of the buckets that are kept whole; what is kept only becomes less. */
  #sumBuckets(): Float64Array {
    if (this.#sums) return this.#sums;
    const [logits, bucketOf, highest] = [this.#logits, this.#bucketOf, this.#highest];
    const end = this.#cut.bucket;
    const steepness = 1 / this.#temperature;
    const sums = new Float64Array(BUCKETS);
    for (let token = 0; token < bucketOf.length; token++) {
      const bucket = bucketOf[token]!;
      if (bucket < end) sums[bucket]! += Math.exp((logits[token]! - highest) * steepness);
    }
    this.#sums = sums;
    return sums;
  }

  #weigh(token: number): number {
    return Math.exp((this.#logits[token]! - this.#highest) * (1 / this.#temperature));
  }

  /** A bucket's tokens, likeliest first. */
  #sort(bucket: number): number[] {
    const tokens: number[] = [];
    for (let token = 0; token < this.#bucketOf.length; token++) {
      if (this.#bucketOf[token] === bucket) tokens.push(token);
    }
    const logits = this.#logits;
    const first = logits[tokens[0]!];
    // Nothing is left to do where all are equal; and what shares the last bucket is never drawn.
    if (bucket === BUCKETS - 1 || tokens.every((token) => logits[token] === first)) return tokens;
    return tokens.sort((a, b) => logits[b]! - logits[a]! || a - b);
  }
}

/** (V) The bucket of each token: evenly by the distance from the highest logit down to the lowest, or to the depth. */
function chooseBuckets(logits: Float32Array, highest: number, depth: number): Uint16Array {
  let lowest = highest;
  for (const logit of logits) if (logit < lowest) lowest = logit;
  const range = Math.min(depth, highest - lowest);
  const isFlat = lowest >= highest - depth;
  // One more than there are steps keeps the last bucket for what lies below the depth.
  const scale = range > 0 ? (BUCKETS - 2) / range : 0;
  const bucketOf = new Uint16Array(logits.length);
  for (let token = 0; token < logits.length; token++) {
    const distance = highest - logits[token]!;
    bucketOf[token] = isFlat || distance <= depth ? Math.floor(distance * scale) : BUCKETS - 1;
  }
  return bucketOf;
}

/** SplitMix32: uniform numbers in [0, 1), the same for the same seed. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}
