import type { EncodedFrame } from '../../models/types.js';

/** How much a patch's score falls that is among the best in every frame: by the factor e. */
const PENALTY = 1;

/**
 * Scores in which positions count less the more often they win: a sink draws attention in every frame, whatever it shows
 * (SToP, arXiv 2604.20937). A patch that is among the `dominant` best in a share f of the frames keeps exp(−f) of its
 * score.
 *
 * @returns (P) for each frame.
 */
export function weakenSinks(frames: readonly EncodedFrame[], dominant: number): Float32Array[] {
  const P = frames[0]!.scores.length;
  const wins = new Float64Array(P);
  for (const { scores } of frames) {
    const best = Array.from(scores, (_, patch) => patch).sort((a, b) => scores[b]! - scores[a]! || a - b);
    for (const patch of best.slice(0, dominant)) wins[patch]! += 1 / frames.length;
  }
  return frames.map(({ scores }) => scores.map((score, patch) => score * Math.exp(-PENALTY * wins[patch]!)));
}
