import type { FrameCells } from '../media/cells.js';
import type { OpenedVideo } from '../media/open.js';
import { estimateScanMs, scanFrames } from '../media/scan.js';
import type { FrameDefaults } from '../models/types.js';
import { AROUND_SECONDS, findEvents, measureChange, measureSurprise } from './change.js';
import { candidates, sampleFrames, usualFrames } from './sample.js';
import type { ChangeStore, Sampling } from './types.js';

/** Which frames are compared to find events. */
export interface Look {
  /** Positions of the first and the last of them. */
  readonly first: number;
  readonly last: number;
  readonly keyframes: boolean;
}

/** Of the time in which a video has to be decoded, what looking for events may take before it makes do with keyframes. */
const SHARE_OF_TIMEOUT = 1 / 3;

/** Null where frames are chosen without events: they are asked for evenly, or by rate, or all of them are taken. */
export function howToLook(
  video: OpenedVideo,
  sampling: Sampling,
  defaults: FrameDefaults,
  timeoutMs: number,
): Look | null {
  const { method = 'auto', fps } = sampling;
  if (method === 'uniform' || fps !== undefined || video.info.isStill || video.animation) return null;
  const [start, end] = candidates(video, sampling);
  if (sampleFrames(video, sampling, usualFrames(video, sampling, defaults)).length > end - start) return null;
  const { ptsSeconds } = video.index;
  let [first, last] = [start, end];
  while (first > 0 && ptsSeconds[start]! - ptsSeconds[first - 1]! <= AROUND_SECONDS) first--;
  while (last < ptsSeconds.length - 1 && ptsSeconds[last + 1]! - ptsSeconds[end]! <= AROUND_SECONDS) last++;
  const isLong = estimateScanMs(video, last - first + 1) > SHARE_OF_TIMEOUT * timeoutMs;
  return { first, last, keyframes: method === 'fast' || isLong };
}

export interface LookOptions {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly changes?: ChangeStore;
  onProgress?(framesDone: number, framesTotal: number): void;
}

/** How often it is told how far the look has come, in frames. */
const TOLD_EVERY = 100;

/** What a look came to. */
export interface Seen {
  /** Frames where something happens, the most of it first. */
  readonly events: readonly number[];
  /** Whether the decoder came to the end: if not, another look may come to something else. */
  readonly isWhole: boolean;
}

/** Finds where something happens. What is known of the whole video is kept, and taken from there. */
export async function lookForEvents(
  video: OpenedVideo,
  { first, last, keyframes }: Look,
  { timeoutMs, signal, changes, onProgress }: LookOptions,
): Promise<Seen> {
  const { ptsSeconds } = video.index;
  const known = keyframes ? null : ((await changes?.read()) ?? null);
  if (known?.length === ptsSeconds.length) return { events: findEvents(known, ptsSeconds), isWhole: true };
  let reached = -1;
  async function* follow(): AsyncGenerator<FrameCells> {
    for await (const frame of scanFrames(video, [first, last], { timeoutMs, signal, keyframes })) {
      reached = frame.index;
      if (frame.index % TOLD_EVERY === 0) onProgress?.(frame.index - first, last - first + 1);
      yield frame;
    }
  }
  const change = await measureChange(follow(), ptsSeconds);
  if (keyframes) {
    const { sizes, keyframes: coded } = video.index;
    measureSurprise(sizes, coded, ptsSeconds).forEach((surprise, i) => {
      if (i >= first && i <= last) change[i] = Math.max(change[i]!, surprise);
    });
  }
  // A decoder that broke off has not seen the last frame.
  const isWhole = keyframes || reached === last;
  const isOfAll = first === 0 && last === ptsSeconds.length - 1;
  if (isWhole && isOfAll && !keyframes) await changes?.write(change);
  return { events: findEvents(change, ptsSeconds), isWhole };
}
