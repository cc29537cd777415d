import type { OverTime, OverTimeStages } from '../types.js';

/** Each frame for itself: VisionZip as published. */
export const noOverTime: OverTimeStages = {
  duplicates: 'keep',
  windows: 'keep',
  budget: 'even',
  sinks: 'keep',
  dominant: 'attention',
  merging: 'frame',
};

/**
 * Up to this share of a frame's tokens static patches are sent once a window. By the table in docs/results.md that gains at 2 %,
 * and at 5 % and above it does not. (On a published model HoliTom, arXiv 2505.21334, gains from 10 % down.)
 */
const SCARCE = 0.04;

/**
 * The stages of a request, and what the table says is best for those of which nothing is said. Who asks for every token gets
 * those of every frame.
 *
 * @param share of a frame's tokens that are kept; 1 without compression.
 */
export function stagesOf(asked: OverTime = {}, share: number): OverTimeStages {
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return { ...defaultsAt(share), ...given };
}

function defaultsAt(share: number): OverTimeStages {
  if (share >= 1) return noOverTime;
  return { ...noOverTime, duplicates: 'drop', windows: share <= SCARCE ? 'merge' : 'keep' };
}

/** Whether a stage behind the tower looks from frame to frame. */
export function looksAcross({ windows, budget, sinks, merging }: OverTimeStages): boolean {
  return windows === 'merge' || budget === 'novelty' || sinks === 'weaken' || merging === 'clip';
}
