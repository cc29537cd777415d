import type { OpenedVideo } from './source.js';

/** A stretch of the video that one decoder process reads. */
export interface DecodeRun {
  /** Positions in `ptsSeconds`, ascending. */
  readonly indices: readonly number[];
  /** Seek to the keyframe of the first of them; else decode from the beginning. */
  readonly seek: boolean;
}

/** `seek`: a process for each frame. `pass`: one process for all. `auto`: whatever costs least. */
export type DecodeStrategy = 'auto' | 'seek' | 'pass';

/**
 * Processor time of one decoder, measured by scripts/bench/decode.ts with H.264 on two shared cores under
 * ffmpeg 5.1: to start it in its sandbox and seek, and to decode a frame.
 */
export const START_MS = 120;
export const FRAME_MS = 0.05;
export const MEGAPIXEL_MS = 2.2;

/** Bounds the filter expression of one process, which is one argument of a command line (128 KiB). */
const MAX_FRAMES_A_RUN = 1000;

/**
 * Which processes decode which frames. Between two wanted frames there are two ways: go on decoding up to
 * the next, or start a new process at the keyframe before it. Each such choice costs the same whatever the
 * others are, so taking the cheaper one each time gives the cheapest plan.
 *
 * @param indices positions in `video.ptsSeconds`, ascending.
 */
export function planRuns(
  video: Pick<OpenedVideo, 'info' | 'keyframes' | 'seekable'>,
  indices: readonly number[],
  strategy: DecodeStrategy,
): DecodeRun[] {
  const frameMs = FRAME_MS + (MEGAPIXEL_MS * video.info.width * video.info.height) / 1e6;
  const seekable = video.seekable && strategy !== 'pass';
  const runs: { indices: number[]; seek: boolean }[] = [];
  let keyframe = 0;
  for (const index of indices) {
    while ((video.keyframes[keyframe + 1] ?? Number.POSITIVE_INFINITY) <= index) keyframe++;
    const fromKeyframe = index - video.keyframes[keyframe]! + 1;
    const run = runs.at(-1);
    const goOn = index - (run?.indices.at(-1) ?? -1);
    // The first process has to be started anyway.
    const startMs = run ? START_MS : 0;
    const cheaper = startMs + fromKeyframe * frameMs < goOn * frameMs;
    const full = (run?.indices.length ?? 0) >= MAX_FRAMES_A_RUN;
    const seek = seekable && (strategy === 'seek' || cheaper || (full && fromKeyframe < index + 1));
    if (!run || seek || full) runs.push({ indices: [index], seek });
    else run.indices.push(index);
  }
  return runs;
}

/**
 * An expression of ffmpeg's select filter that passes the wanted frames by their time, and the first frame
 * after them, so that a missing one is noticed at once. A binary search: a frame is compared log₂(n) times.
 *
 * @param ranges [from, to] of each wanted frame in microseconds, ascending, apart from each other.
 */
export function selectExpression(ranges: readonly (readonly [number, number])[]): string {
  const tree = (from: number, to: number): string => {
    if (to - from === 1) return `between(pts,${ranges[from]![0]},${ranges[from]![1]})`;
    const middle = (from + to) >> 1;
    return `if(lt(pts,${ranges[middle]![0]}),${tree(from, middle)},${tree(middle, to)})`;
  };
  return `${tree(0, ranges.length)}+gt(pts,${ranges.at(-1)![1]})`;
}

/** From halfway after the frame before to halfway before the frame after, in microseconds. */
export function timeRange(ptsSeconds: Float64Array, index: number): [number, number] {
  const micros = (i: number) => Math.round(ptsSeconds[i]! * 1e6);
  const half = (from: number, to: number) => Math.max(0, Math.floor((micros(to) - micros(from) - 1) / 2));
  const before = index > 0 ? half(index - 1, index) : 1000;
  const after = index < ptsSeconds.length - 1 ? half(index, index + 1) : 1000;
  return [micros(index) - before, micros(index) + after];
}

/**
 * A little after the frame, so that rounding does not fall to the keyframe before; counted from the
 * container's start.
 */
export function seekTime(
  { ptsSeconds, startSeconds }: Pick<OpenedVideo, 'ptsSeconds' | 'startSeconds'>,
  index: number,
): number {
  const [, to] = timeRange(ptsSeconds, index);
  return Math.max(0, (ptsSeconds[index]! + to / 1e6) / 2 - startSeconds);
}
