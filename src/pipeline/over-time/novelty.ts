import type { EncodedFrame } from '../../models/types.js';
import { inverseNorms, meanRow } from '../vectors.js';

/** How much of the budget goes by novelty; the rest is shared evenly. */
const NOVELTY_SHARE = 0.5;

/**
 * How many of `total` tokens each frame gets: half evenly, half by novelty (after VidCom2, arXiv 2505.14454, which
 * gives more to frames that are unlike the others). A frame is as novel as it is unlike the most similar one before it;
 * the first as the most novel of the others. Frames are compared by CLS, or by their mean token.
 *
 * @param least no frame gets fewer, `most` none more. `least` × frames must not be above `total`.
 * @returns whole numbers, at most `total` together.
 */
export function shareByNovelty(
  frames: readonly EncodedFrame[],
  total: number,
  { least, most }: { readonly least: number; readonly most: number },
): number[] {
  const novelty = measureNovelty(frames);
  const sum = novelty.reduce((a, b) => a + b, 0);
  const even = 1 / frames.length;
  const free = total - least * frames.length;
  const wanted = novelty.map((one) => {
    const share = sum > 0 ? (1 - NOVELTY_SHARE) * even + (NOVELTY_SHARE * one) / sum : even;
    return Math.min(most - least, free * share);
  });
  return roundTogether(wanted).map((tokens) => tokens + least);
}

function measureNovelty(frames: readonly EncodedFrame[]): number[] {
  const vectors = frames.map(({ hidden, D, N, scores }) => {
    const vector = N > scores.length ? hidden.subarray(0, D) : meanRow(hidden, D);
    const [inverse] = inverseNorms(vector, D);
    return vector.map((value) => value * inverse!);
  });
  const novelty = vectors.map((vector, i) => {
    const cosines = vectors.slice(0, i).map((other) => vector.reduce((sum, x, d) => sum + x * other[d]!, 0));
    return i === 0 ? 0 : Math.max(0, 1 - Math.max(...cosines));
  });
  novelty[0] = frames.length > 1 ? Math.max(...novelty) : 1;
  return novelty;
}

/** Whole numbers that differ from `wanted` by less than 1, and are together its sum, rounded down. The first gain most. */
export function roundTogether(wanted: readonly number[]): number[] {
  const total = Math.floor(wanted.reduce((sum, one) => sum + one, 0) + ROUNDING);
  let sum = 0;
  let given = 0;
  return wanted.map((one) => {
    sum += one;
    const upTo = Math.min(total, Math.ceil(sum - ROUNDING));
    const own = upTo - given;
    given = upTo;
    return own;
  });
}

const ROUNDING = 1e-9;
