import { InputError } from '../errors.js';
import type { FrameDefaults } from '../models/types.js';
import type { Sampling } from './types.js';

/** What sampling has to know of a video. */
export interface Timeline {
  /** (F) times of its frames in seconds, ascending. */
  readonly ptsSeconds: ArrayLike<number>;
  /** Until when the last one is on display. */
  readonly displayedSeconds: number;
}

/**
 * Which frames of a video are looked at: ascending positions in `ptsSeconds`, each once.
 *
 * A frame is on display until the next. Those that are on display at some time within [`startSeconds`, `endSeconds`] are
 * candidates, from `first` to `last`. Of these
 * - `frames` N takes LLaVA's `np.linspace(first, last, N, dtype=int)` where frames come at a constant rate: equally spaced
 *   over the frames, the last one included (for N = 1 the first alone). Elsewhere, the frames on display at N times
 *   equally spaced. Where there are no more than N, each is taken once.
 * - `fps` takes the frame on display at the times t, t + 1/fps, t + 2/fps …, where t is the first frame's.
 *   More than `maxFrames` of them become `frames: maxFrames` instead, as in LLaVA-NeXT's `load_video`.
 * - neither means `frames: defaultFrames`.
 *
 * @throws RangeError for settings that contradict themselves, InputError where the video has no such frame.
 */
export function sampleFrames(timeline: Timeline, sampling: Sampling, defaultFrames: number): number[] {
  checkSampling(sampling, defaultFrames);
  const { ptsSeconds } = timeline;
  const [first, last] = candidates(timeline, sampling);
  if (sampling.fps === undefined) return spread(ptsSeconds, first, last, sampling.frames ?? defaultFrames);
  const atRate = everyInterval(ptsSeconds, first, last, 1 / sampling.fps);
  const { maxFrames = Number.POSITIVE_INFINITY } = sampling;
  return atRate.length > maxFrames ? spread(ptsSeconds, first, last, maxFrames) : atRate;
}

/**
 * How many frames a video gets where nobody says how many: its length by the model's rate, no fewer than the model shows of a
 * short video, and no more than it was trained on.
 *
 * @throws as `sampleFrames`.
 */
export function usualFrames(
  timeline: Timeline,
  sampling: Sampling,
  { frames, mostFrames = frames, framesPerSecond = 1 }: FrameDefaults,
): number {
  const [first, last] = candidates(timeline, sampling);
  const seconds = timeline.ptsSeconds[last]! - timeline.ptsSeconds[first]!;
  return Math.max(frames, Math.min(mostFrames, Math.round(seconds * framesPerSecond)));
}

/** The same range with so many frames, and no rate. */
export function withFrames({ method, startSeconds, endSeconds }: Sampling, frames: number): Sampling {
  return { method, startSeconds, endSeconds, frames };
}

function checkSampling(sampling: Sampling, defaultFrames: number): void {
  const { frames, fps, maxFrames, startSeconds = 0, endSeconds = Number.POSITIVE_INFINITY } = sampling;
  for (const [name, value] of Object.entries({ frames, maxFrames, defaultFrames })) {
    if (value !== undefined && !(Number.isInteger(value) && value >= 1)) {
      throw new RangeError(`\`${name}\` must be a whole number of at least 1, got ${value}`);
    }
  }
  if (fps !== undefined && !(Number.isFinite(fps) && fps > 0)) {
    throw new RangeError(`\`fps\` must be above 0 frames a second, got ${fps}`);
  }
  if (frames !== undefined && fps !== undefined) {
    throw new RangeError(`give \`frames\` or \`fps\`, not both: got ${frames} and ${fps}`);
  }
  if (maxFrames !== undefined && fps === undefined) {
    throw new RangeError(`\`maxFrames\` ${maxFrames} bounds \`fps\`, which is not given: use \`frames\``);
  }
  if (!(startSeconds >= 0)) throw new RangeError(`\`startSeconds\` must be at least 0, got ${startSeconds}`);
  if (!(endSeconds >= startSeconds)) {
    throw new RangeError(`\`endSeconds\` ${endSeconds} lies before \`startSeconds\` ${startSeconds}`);
  }
}

/** First and last position on display within the range of a sampling. */
export function candidates(
  { ptsSeconds, displayedSeconds }: Timeline,
  { startSeconds = 0, endSeconds = Number.POSITIVE_INFINITY }: Sampling,
): [number, number] {
  const count = ptsSeconds.length;
  if (count === 0) throw new InputError('the video has no frame to take');
  const end = Math.max(displayedSeconds, ptsSeconds[count - 1]!);
  if (startSeconds > end) {
    throw new InputError(
      `no frame from \`startSeconds\` ${startSeconds} on: the video is shown from 0 to ${end} seconds`,
      { fault: 'settings' },
    );
  }
  return [onDisplay(ptsSeconds, startSeconds), onDisplay(ptsSeconds, endSeconds)];
}

/** A time that is meant to fall on a frame may miss it by rounding: half a microsecond is allowed. */
const ROUNDING = 5e-7;

/** The frame on display at a time; before the first, the first. */
function onDisplay(ptsSeconds: ArrayLike<number>, seconds: number): number {
  let low = 0;
  let high = ptsSeconds.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (ptsSeconds[middle]! <= seconds + ROUNDING) low = middle;
    else high = middle;
  }
  return low;
}

function spread(ptsSeconds: ArrayLike<number>, first: number, last: number, count: number): number[] {
  const available = last - first + 1;
  if (count >= available) return Array.from({ length: available }, (_, i) => first + i);
  if (count === 1) return [first];
  return isConstant(ptsSeconds, first, last)
    ? linspace(first, last, count)
    : equalTimes(ptsSeconds, first, last, count);
}

/** Whether no frame lies further than one interval from where a constant rate would have it. */
function isConstant(ptsSeconds: ArrayLike<number>, first: number, last: number): boolean {
  const start = ptsSeconds[first]!;
  const interval = (ptsSeconds[last]! - start) / (last - first);
  for (let i = first; i <= last; i++) {
    if (Math.abs(ptsSeconds[i]! - start - (i - first) * interval) > interval) return false;
  }
  return true;
}

/** In numpy's order of operations, so that rounding falls the same way. */
function linspace(first: number, last: number, count: number): number[] {
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, k) => (k === count - 1 ? last : Math.floor(k * step + first)));
}

/** The frames on display at equally spaced times; where one is on display twice, its neighbours are taken, too. */
function equalTimes(ptsSeconds: ArrayLike<number>, first: number, last: number, count: number): number[] {
  const start = ptsSeconds[first]!;
  const step = (ptsSeconds[last]! - start) / (count - 1);
  const chosen: number[] = [];
  for (let k = 0; k < count; k++) {
    const wanted = onDisplay(ptsSeconds, start + k * step);
    const least = k === 0 ? first : chosen[k - 1]! + 1;
    const most = last - (count - 1 - k);
    chosen.push(Math.min(Math.max(wanted, least), most));
  }
  return chosen;
}

function everyInterval(
  ptsSeconds: ArrayLike<number>,
  first: number,
  last: number,
  seconds: number,
): number[] {
  const chosen: number[] = [];
  const start = ptsSeconds[first]!;
  let next = 0;
  for (let i = first; i <= last; i++) {
    const until = i === last ? ptsSeconds[last]! + ROUNDING : ptsSeconds[i + 1]! - ROUNDING;
    if (start + next * seconds >= until) continue;
    chosen.push(i);
    next = Math.max(next + 1, Math.ceil((until - start) / seconds));
  }
  return chosen;
}
