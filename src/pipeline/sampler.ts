import { randomInt } from 'node:crypto';
import type { Generation } from './types.js';

/** Picks the next token from logits (V). */
export type PickToken = (logits: Float32Array) => number;

/**
 * Greedy unless `temperature` is above 0; then the top k, then the top p of what is left, then one drawn at
 * random. The same seed gives the same picks; without one a seed is drawn.
 */
export function createSampler({ temperature = 0, topK, topP = 1, seed }: Generation): PickToken {
  if (temperature <= 0) return argmax;
  const random = seededRandom(seed ?? randomInt(2 ** 32));
  return (logits) => {
    const candidates = likeliest(logits, temperature, topK ?? logits.length, topP);
    const total = candidates.reduce((sum, candidate) => sum + candidate.weight, 0);
    let left = random() * total;
    for (const { token, weight } of candidates) {
      left -= weight;
      if (left < 0) return token;
    }
    return candidates[candidates.length - 1]!.token;
  };
}

/** The index of the highest value; a tie goes to the lowest index. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

interface Candidate {
  readonly token: number;
  /** exp((logit − highest) / temperature): a probability, but for its scale. */
  readonly weight: number;
}

/** The k likeliest tokens, cut to the fewest that reach the share p of their sum; at least one. */
function likeliest(logits: Float32Array, temperature: number, k: number, p: number): Candidate[] {
  const highest = logits[argmax(logits)]!;
  const sorted = Array.from(logits, (logit, token) => ({
    token,
    weight: Math.exp((logit - highest) / temperature),
  }))
    .sort((a, b) => b.weight - a.weight || a.token - b.token)
    .slice(0, k);
  const enough = p * sorted.reduce((sum, { weight }) => sum + weight, 0);
  let sum = 0;
  const end = sorted.findIndex(({ weight }) => {
    sum += weight;
    return sum >= enough;
  });
  return end < 0 ? sorted : sorted.slice(0, end + 1);
}

/** SplitMix32: uniform numbers in [0, 1), the same for the same seed. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return ((z ^ (z >>> 15)) >>> 0) / 2 ** 32;
  };
}
