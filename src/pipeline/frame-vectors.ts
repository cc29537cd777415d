import type { EncodedFrame } from '../models/types.js';
import { roundToHalf } from './half.js';
import type { FrameVectors } from './types.js';
import { inverseNorms, meanRow } from './vectors.js';

/**
 * One vector for what a frame shows: the mean of its patches as they leave the tower, without CLS, of length 1 (in half
 * precision). From the tower and not from the kept tokens, since those depend on the budget and on the frames around; the mean,
 * since not every tower has a CLS token. Of 8 frames each of 12 clips (`npm run clips -- --seed 3 --count 12`, the shipped model) all 96
 * found another of their own clip first; by projected tokens 94 did, and 89 in half precision. Where a family projects before any token is
 * left out, its tower's output is projected already. Patches have much in common, whatever they show: cosines lie close to 1, and are for
 * comparing.
 *
 * @returns (D); zeros where the mean is.
 */
export function poolFrame({ D, hidden }: Pick<EncodedFrame, 'D' | 'hidden'>, cls: boolean): Float32Array {
  const mean = meanRow(hidden.subarray(cls ? D : 0), D);
  const [scale] = inverseNorms(mean, D);
  return roundToHalf(mean.map((value) => value * scale!));
}

/**
 * The vectors of all frames, in order. A frame that was not encoded by itself shows what the one before it shows, or was taken
 * together with it: it gets that one's.
 *
 * @param pooled by position among the sampled frames, (D) each.
 */
export function vectorsOfAll(frames: number, pooled: ReadonlyMap<number, Float32Array>): FrameVectors {
  const [first] = pooled.values();
  const D = first?.length ?? 0;
  const values = new Float32Array(frames * D);
  let last = first;
  for (let f = 0; f < frames; f++) {
    last = pooled.get(f) ?? last;
    if (last) values.set(last, f * D);
  }
  return { D, values };
}
