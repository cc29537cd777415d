import { randomInt } from 'node:crypto';
import type { Generation } from './types.js';

/** Picks the next token from logits (V). */
export type PickToken = (logits: Float32Array) => number;

/**
 * Greedy unless `temperature` is above 0; then the top k, then the top p of what is left, then one drawn at
 * random. The same seed gives the same picks; without one a seed is drawn. The vocabulary is never sorted: at
 * 150,000 words that would take longer than a decode step.
 */
export function createSampler({ temperature = 0, topK, topP = 1, seed }: Generation): PickToken {
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

/** Tokens, likeliest first, a tie going to the lower one; put in order only as far as is asked. */
class Ranking {
  readonly #logits: Float32Array;
  readonly #temperature: number;
  /** The kept tokens, in any order. */
  #tokens: Uint32Array;
  /** By token, for the kept ones. */
  #weights: Float64Array | null = null;

  constructor(logits: Float32Array, temperature: number) {
    this.#logits = logits;
    this.#temperature = temperature;
    this.#tokens = new Uint32Array(logits.length);
    for (let token = 0; token < logits.length; token++) this.#tokens[token] = token;
  }

  keepCount(count: number): void {
    this.#keep((_, end) => end >= count);
  }

  /** Sum of the kept tokens' weights: probabilities, but for their scale. */
  sum(): number {
    return this.#sum(0, this.#tokens.length);
  }

  /** Keeps the fewest whose weights have a sum that is enough, else all; returns the last of them. */
  keepUntil(isEnough: (sum: number) => boolean): number {
    let before = 0;
    return this.#keep((start, end) => {
      const sum = before + this.#sum(start, end);
      if (isEnough(sum)) return true;
      before = sum;
      return false;
    });
  }

  /**
   * Quickselect: each turn splits the stretch of `tokens` in which the last token to keep must lie, likelier ones to
   * the front, and asks whether the front is enough. Returns that token.
   */
  #keep(isEnough: (start: number, end: number) => boolean): number {
    let start = 0;
    let end = this.#tokens.length;
    while (end - start > 1) {
      const middle = splitRanks(this.#logits, this.#tokens, start, end);
      if (isEnough(start, middle)) end = middle;
      else start = middle;
    }
    this.#tokens = this.#tokens.subarray(0, end);
    return this.#tokens[start]!;
  }

  #sum(start: number, end: number): number {
    this.#weights ??= weigh(this.#logits, this.#tokens, this.#temperature);
    const [weights, tokens] = [this.#weights, this.#tokens];
    let sum = 0;
    for (let i = start; i < end; i++) sum += weights[tokens[i]!]!;
    return sum;
  }
}

/** exp((logit − highest) / temperature) of some tokens. */
function weigh(logits: Float32Array, tokens: Uint32Array, temperature: number): Float64Array {
  const highest = logits[argmax(logits)]!;
  const weights = new Float64Array(logits.length);
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]!;
    weights[token] = Math.exp((logits[token]! - highest) / temperature);
  }
  return weights;
}

/** Reorders a stretch of at least two tokens, so that all before the returned place are likelier than all from it on. */
function splitRanks(logits: Float32Array, tokens: Uint32Array, start: number, end: number): number {
  const isBefore = (a: number, b: number) => {
    const [x, y] = [logits[a]!, logits[b]!];
    return x > y || (x === y && a < b);
  };
  const pivot = choosePivot(tokens, start, end, isBefore);
  for (let i = start, j = end - 1; ; i++, j--) {
    while (isBefore(tokens[i]!, pivot)) i++;
    while (isBefore(pivot, tokens[j]!)) j--;
    if (i >= j) return i;
    const token = tokens[i]!;
    tokens[i] = tokens[j]!;
    tokens[j] = token;
  }
}

/** Of a whole vocabulary hardly any word is likely: there the split is made near the top, else in the middle. */
function choosePivot(
  tokens: Uint32Array,
  start: number,
  end: number,
  isBefore: (a: number, b: number) => boolean,
): number {
  const isWhole = start === 0 && end > 10_000;
  const among = isWhole ? 127 : 3;
  const step = (end - start) / (among + 1);
  const sample = Array.from({ length: among }, (_, i) => tokens[start + Math.floor((i + 1) * step)]!);
  return sample.sort((a, b) => (isBefore(a, b) ? -1 : 1))[isWhole ? 2 : 1]!;
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
