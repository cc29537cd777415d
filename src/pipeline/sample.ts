import { InputError } from './errors.js';
import type { Sampling } from './types.js';

/**
 * Which frames of a video are looked at: ascending positions in `ptsSeconds`, each once.
 *
 * The frames whose time lies within [`startSeconds`, `endSeconds`], both on the clock of `ptsSeconds`, are
 * candidates, from `first` to `last`. Of these
 * - `frames` N takes LLaVA's `np.linspace(first, last, N, dtype=int)`: equally spaced over the frames, not
 *   over time, the last one included (for N = 1 the first alone). Where there are no more than N, each is
 *   taken once.
 * - `fps` takes the frame on display at the times t, t + 1/fps, t + 2/fps …, where t is the first frame's.
 *   More than `maxFrames` of them become `frames: maxFrames` instead, as in LLaVA-NeXT's `load_video`.
 * - neither means `frames: defaultFrames`.
 *
 * @param ptsSeconds (F) ascending.
 * @throws RangeError for settings that contradict themselves, InputError where the video has no such frame.
 */
export function sampleFrames(
  ptsSeconds: ArrayLike<number>,
  sampling: Sampling,
  defaultFrames: number,
): number[] {
  checkSampling(sampling, defaultFrames);
  const [first, last] = candidates(ptsSeconds, sampling);
  if (sampling.fps === undefined) return linspace(first, last, sampling.frames ?? defaultFrames);
  const atRate = everyInterval(ptsSeconds, first, last, 1 / sampling.fps);
  const { maxFrames = Number.POSITIVE_INFINITY } = sampling;
  return atRate.length > maxFrames ? linspace(first, last, maxFrames) : atRate;
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

/** First and last position within the range. */
function candidates(ptsSeconds: ArrayLike<number>, { startSeconds, endSeconds }: Sampling): [number, number] {
  const count = ptsSeconds.length;
  if (count === 0) throw new InputError('the video has no frame to take');
  const first = startSeconds === undefined ? 0 : countBelow(ptsSeconds, (pts) => pts < startSeconds);
  const last = endSeconds === undefined ? count - 1 : countBelow(ptsSeconds, (pts) => pts <= endSeconds) - 1;
  if (first <= last) return [first, last];
  throw new InputError(
    `no frame between \`startSeconds\` ${startSeconds ?? 0} and \`endSeconds\` ${endSeconds ?? 'end'}: ` +
      `the video's frames lie at ${ptsSeconds[0]} to ${ptsSeconds[count - 1]} seconds`,
  );
}

/** In numpy's order of operations, so that rounding falls the same way. */
function linspace(first: number, last: number, count: number): number[] {
  const available = last - first + 1;
  if (count >= available) return Array.from({ length: available }, (_, i) => first + i);
  if (count === 1) return [first];
  const step = (last - first) / (count - 1);
  return Array.from({ length: count }, (_, k) => (k === count - 1 ? last : Math.floor(k * step + first)));
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
    // A time that is meant to fall on a frame may miss it by rounding: half a microsecond is allowed.
    const until = i === last ? ptsSeconds[last]! + 5e-7 : ptsSeconds[i + 1]! - 5e-7;
    if (start + next * seconds >= until) continue;
    chosen.push(i);
    next = Math.max(next + 1, Math.ceil((until - start) / seconds));
  }
  return chosen;
}

/** How many leading elements meet a condition that no later one meets again. */
function countBelow(ptsSeconds: ArrayLike<number>, meets: (pts: number) => boolean): number {
  let low = 0;
  let high = ptsSeconds.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (meets(ptsSeconds[middle]!)) low = middle + 1;
    else high = middle;
  }
  return low;
}
