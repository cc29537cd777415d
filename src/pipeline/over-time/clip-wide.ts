import type { EncodedFrame } from '../../models/types.js';
import { seededRandom } from '../sampler.js';
import { inverseNorms } from '../vectors.js';

/** A kept token with the tokens that joined it; places in the list of all tokens, frame after frame. */
export interface ClipToken {
  readonly kept: number;
  readonly joined: readonly number[];
  /** (D): the mean of all of them. */
  readonly token: Float32Array;
}

/** At most so many tokens say how dense it is around another. */
const REFERENCES = 512;
/** The width of the kernel is the distance below which this share of the pairs lies. */
const NEAR_SHARE = 0.1;

/**
 * Merges over the whole clip (or as much of it as is given): `total` of all tokens are kept, each as likely as it is far
 * from others, and every other token joins the kept one that is most similar (KiToke, arXiv 2604.03414). The density is
 * ρᵢ = Σⱼ exp(−‖xᵢ − xⱼ‖² / α); α is a quantile of the distances, where the paper has a constant for its tower. The draw
 * is pivotal sampling, the same for the same `seed`.
 */
export function mergeClipWide(frames: readonly EncodedFrame[], total: number, seed: number): ClipToken[] {
  const { D } = frames[0]!;
  const all = concatenate(frames);
  const count = all.length / D;
  const chances = inclusion(densities(all, D), Math.min(total, count));
  const kept = drawPivotal(chances, seed);
  return join(all, D, kept);
}

function concatenate(frames: readonly EncodedFrame[]): Float32Array {
  const all = new Float32Array(frames.reduce((sum, { hidden }) => sum + hidden.length, 0));
  let start = 0;
  for (const { hidden } of frames) {
    all.set(hidden, start);
    start += hidden.length;
  }
  return all;
}

function densities(all: Float32Array, D: number): Float64Array {
  const count = all.length / D;
  const references = Array.from({ length: Math.min(REFERENCES, count) }, (_, i) =>
    Math.floor((i * count) / Math.min(REFERENCES, count)),
  );
  const squares = new Float64Array(count * references.length);
  for (let i = 0; i < count; i++) {
    references.forEach((j, r) => {
      let sum = 0;
      for (let d = 0; d < D; d++) sum += (all[i * D + d]! - all[j * D + d]!) ** 2;
      squares[i * references.length + r] = sum;
    });
  }
  const some = squares.filter((_, i) => i % 7 === 0).sort();
  const alpha = Math.max(some[Math.floor(NEAR_SHARE * some.length)]!, Number.MIN_VALUE);
  const density = new Float64Array(count);
  squares.forEach((square, i) => {
    density[Math.floor(i / references.length)]! += Math.exp(-square / alpha);
  });
  return density;
}

/** How likely each is kept: in proportion to 1 / ρ, at most 1, `total` together. */
function inclusion(density: Float64Array, total: number): Float64Array {
  const weights = density.map((one) => 1 / Math.max(one, 1e-12));
  const chances = new Float64Array(weights.length);
  const open = new Set(weights.keys());
  let left = total;
  for (;;) {
    let sum = 0;
    for (const i of open) sum += weights[i]!;
    const sure = [...open].filter((i) => left * weights[i]! >= sum);
    if (sure.length === 0 || sum === 0) {
      for (const i of open) chances[i] = sum > 0 ? (left * weights[i]!) / sum : 0;
      return chances;
    }
    for (const i of sure) {
      chances[i] = 1;
      open.delete(i);
      left -= 1;
    }
  }
}

/**
 * Pivotal sampling (Deville and Tillé, 1998): two undecided ones fight for their chances until one of them is in or out. Gives
 * as many as the chances add up to, ascending.
 */
function drawPivotal(chances: Float64Array, seed: number): number[] {
  const random = seededRandom(seed);
  const kept: number[] = [];
  let open = -1;
  let own = 0;
  for (let i = 0; i < chances.length; i++) {
    const other = chances[i]!;
    if (other >= 1 - 1e-9) kept.push(i);
    else if (open < 0) [open, own] = [i, other];
    else {
      const sum = own + other;
      const firstStays = random() < (sum < 1 ? own / sum : (1 - other) / (2 - sum));
      const [stays, goes] = firstStays ? [open, i] : [i, open];
      if (sum < 1) [open, own] = [stays, sum];
      else {
        kept.push(stays);
        [open, own] = [goes, sum - 1];
      }
    }
  }
  if (open >= 0 && own > 0.5) kept.push(open);
  return kept.sort((a, b) => a - b);
}

function join(all: Float32Array, D: number, kept: readonly number[]): ClipToken[] {
  const inverse = inverseNorms(all, D);
  const joined = kept.map((): number[] => []);
  const sums = kept.map((row) => Float64Array.from(all.subarray(row * D, (row + 1) * D)));
  const isKept = new Set(kept);
  for (let i = 0; i < inverse.length; i++) {
    if (isKept.has(i)) continue;
    let best = 0;
    let bestCosine = Number.NEGATIVE_INFINITY;
    kept.forEach((row, k) => {
      let dot = 0;
      for (let d = 0; d < D; d++) dot += all[i * D + d]! * all[row * D + d]!;
      const cosine = dot * inverse[row]!;
      if (cosine > bestCosine) [best, bestCosine] = [k, cosine];
    });
    joined[best]!.push(i);
    const sum = sums[best]!;
    for (let d = 0; d < D; d++) sum[d]! += all[i * D + d]!;
  }
  return kept.map((row, k) => ({
    kept: row,
    joined: joined[k]!,
    token: Float32Array.from(sums[k]!, (sum) => sum / (joined[k]!.length + 1)),
  }));
}
