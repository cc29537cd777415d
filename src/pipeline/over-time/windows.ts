import type { EncodedFrame } from '../../models/types.js';
import { inverseNorms } from '../vectors.js';

/** Frames in a row, and which of their patches show the same in all of them. */
export interface StaticWindow {
  /** Places among the frames given; `end` is behind the last. */
  readonly first: number;
  readonly end: number;
  /** (P), 1 where the patch is static. All 0 in a window of one frame. */
  readonly isStatic: Uint8Array;
}

/** From which cosine on a patch shows the same: calibrated on the shipped model, see docs/results.md. */
export const STATIC_COSINE = 0.9;

/**
 * Cuts frames into windows so that the most tokens can be left out: in a window each static patch is needed once
 * (HoliTom, arXiv 2505.21334, section 3.2). A patch is static where its token stays alike to that of the window's *first*
 * frame. HoliTom holds it against the frame before, by which slow motion would count as standing still.
 *
 * @param frames of one size; all pairs are compared, so a few at a time.
 */
export function findStaticWindows(
  frames: readonly EncodedFrame[],
  leastCosine = STATIC_COSINE,
): StaticWindow[] {
  const P = frames[0]!.scores.length;
  const alike = comparePairs(frames, leastCosine);
  // saved[end]: the most tokens that windows up to `end` leave out; its last window begins at from[end].
  const saved = new Float64Array(frames.length + 1);
  const from = new Uint32Array(frames.length + 1);
  const masks = new Map<number, Uint8Array>();
  for (let end = 1; end <= frames.length; end++) {
    saved[end] = saved[end - 1]!;
    from[end] = end - 1;
    for (let first = 0; first < end - 1; first++) {
      const mask = staticThrough(alike, frames.length, first, end, P);
      const total = saved[first]! + (end - first - 1) * mask.reduce((sum, one) => sum + one, 0);
      if (total <= saved[end]!) continue;
      saved[end] = total;
      from[end] = first;
      masks.set(end, mask);
    }
  }
  const windows: StaticWindow[] = [];
  for (let end = frames.length; end > 0; end = from[end]!) {
    const first = from[end]!;
    const isStatic = end - first > 1 ? masks.get(end)! : new Uint8Array(P);
    windows.unshift({ first, end, isStatic });
  }
  return windows;
}

/** (F, F, P): 1 where a patch of frame i is alike to that of a later frame j. */
function comparePairs(frames: readonly EncodedFrame[], leastCosine: number): Uint8Array {
  const { N, D, scores } = frames[0]!;
  const P = scores.length;
  const norms = frames.map(({ hidden }) => inverseNorms(hidden, D));
  const alike = new Uint8Array(frames.length ** 2 * P);
  for (let i = 0; i < frames.length; i++) {
    for (let j = i + 1; j < frames.length; j++) {
      for (let patch = 0; patch < P; patch++) {
        const row = patch + N - P;
        const cosine =
          dot(frames[i]!.hidden, frames[j]!.hidden, row * D, D) * norms[i]![row]! * norms[j]![row]!;
        if (cosine > leastCosine) alike[(i * frames.length + j) * P + patch] = 1;
      }
    }
  }
  return alike;
}

function dot(a: Float32Array, b: Float32Array, start: number, D: number): number {
  let sum = 0;
  for (let d = start; d < start + D; d++) sum += a[d]! * b[d]!;
  return sum;
}

/** (P): 1 where a patch of frame `first` is alike to that of every frame up to `end`. */
function staticThrough(alike: Uint8Array, F: number, first: number, end: number, P: number): Uint8Array {
  const mask = new Uint8Array(P).fill(1);
  for (let j = first + 1; j < end; j++) {
    const start = (first * F + j) * P;
    for (let patch = 0; patch < P; patch++) mask[patch]! &= alike[start + patch]!;
  }
  return mask;
}
