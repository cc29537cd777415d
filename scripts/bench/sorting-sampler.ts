import { argmax, type PickToken, seededRandom } from '../../src/pipeline/sampler.js';
import type { Generation } from '../../src/pipeline/types.js';

/** The sampler as one would write it down: sort, cut, draw. Judge of the real one in tests and benchmarks. */
export function sortingSampler({ temperature = 0, topK, topP = 1, seed = 0 }: Generation): PickToken {
  if (temperature <= 0) return argmax;
  const random = seededRandom(seed);
  return (logits) => {
    const candidates = likeliest(logits, temperature, topK ?? logits.length, topP);
    let left = random() * sumOf(candidates);
    const picked = candidates.find(({ weight }) => {
      left -= weight;
      return left < 0;
    });
    return (picked ?? candidates.at(-1)!).token;
  };
}

interface Candidate {
  readonly token: number;
  readonly weight: number;
}

/** The k likeliest tokens, cut to the fewest that reach the share p of their sum. */
function likeliest(logits: Float32Array, temperature: number, k: number, p: number): Candidate[] {
  const highest = logits[argmax(logits)]!;
  const weigh = (logit: number) => Math.exp((logit - highest) / temperature);
  const sorted = Array.from(logits, (logit, token) => ({ token, logit, weight: weigh(logit) }))
    .sort((a, b) => b.logit - a.logit || a.token - b.token)
    .slice(0, k);
  const enough = p * sumOf(sorted);
  let sum = 0;
  const last = sorted.findIndex(({ weight }) => {
    sum += weight;
    return sum >= enough;
  });
  return last < 0 ? sorted : sorted.slice(0, last + 1);
}

function sumOf(candidates: readonly Candidate[]): number {
  return candidates.reduce((sum, { weight }) => sum + weight, 0);
}
