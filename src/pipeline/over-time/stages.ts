import type { OverTime, OverTimeStages } from '../types.js';

/** What the table in docs/results.md says is best. */
export const defaultOverTime: OverTimeStages = {
  duplicates: 'drop',
  windows: 'keep',
  budget: 'even',
  sinks: 'keep',
  dominant: 'attention',
  merging: 'frame',
};

/** Each frame for itself: VisionZip as published. */
export const noOverTime: OverTimeStages = {
  duplicates: 'keep',
  windows: 'keep',
  budget: 'even',
  sinks: 'keep',
  dominant: 'attention',
  merging: 'frame',
};

/** The stages of a request. Who asks for every token gets those of every frame, unless a stage is asked for. */
export function stagesOf(asked: OverTime = {}, isCompressed: boolean): OverTimeStages {
  const given = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
  return { ...(isCompressed ? defaultOverTime : noOverTime), ...given };
}

/** Whether a stage behind the tower looks from frame to frame. */
export function looksAcross({ windows, budget, sinks, merging }: OverTimeStages): boolean {
  return windows === 'merge' || budget === 'novelty' || sinks === 'weaken' || merging === 'clip';
}
