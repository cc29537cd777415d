import { candidates, sampleFrames, type Timeline, withFrames } from './sample.js';
import type { Sampling } from './types.js';

/**
 * Which frames of a video are looked at: ascending positions, each once. With events at most half of them show one, the
 * largest first, and the others lie evenly in time: an even spread is right for questions about the whole, and passes over
 * what is brief. Without events, and with `fps`, it is `sampleFrames`.
 *
 * @param events positions, the largest change first: see `findEvents`.
 * @throws as `sampleFrames`.
 */
export function chooseFrames(
  timeline: Timeline,
  sampling: Sampling,
  defaultFrames: number,
  events: readonly number[],
): number[] {
  const wanted = sampleFrames(timeline, sampling, defaultFrames);
  if (sampling.fps !== undefined || events.length === 0) return wanted;
  const [first, last] = candidates(timeline, sampling);
  const brief = events
    .filter((index) => index >= first && index <= last)
    .slice(0, Math.floor(wanted.length / 2));
  // Where an event falls on a frame of the even spread, that one is spread by one more.
  for (let even = wanted.length - brief.length; ; even++) {
    const chosen = new Set(sampleFrames(timeline, withFrames(sampling, even), even));
    for (const index of brief) if (chosen.size < wanted.length) chosen.add(index);
    if (chosen.size >= wanted.length) return [...chosen].sort((a, b) => a - b);
  }
}
