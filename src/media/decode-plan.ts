import type { OpenedVideo } from './open.js';

/** A stretch of the video that is decoded without a jump. */
export interface DecodeRun {
  /** Positions in `ptsSeconds`, ascending. */
  readonly indices: readonly number[];
  /** Seek to the keyframe of the first of them; else decode from the beginning. */
  readonly seek: boolean;
  /** How many frames are decoded for them. */
  readonly decoded: number;
}

/** `seek`: a run for each frame. `pass`: one run for all. `auto`: whatever costs least. */
export type DecodeStrategy = 'auto' | 'seek' | 'pass';

/**
 * Processor time of one decoder, measured by scripts/bench/decode.ts with H.264 on two shared cores under
 * ffmpeg 5.1: to open the file again and seek, also for each thousand frames of its index, and to decode a frame.
 */
export const SEEK_MS = 50;
export const INDEX_MS = 0.3;
export const FRAME_MS = 0.05;
export const MEGAPIXEL_MS = 2.2;

/** Bounds the filter expression of one run, which is one argument of a command line (128 KiB). */
const MAX_FRAMES_A_RUN = 1000;

/** Runs that one process makes, and bytes of the frames that a batch of processes may hold. */
const MAX_RUNS_A_PROCESS = 8;
const MAX_HELD_BYTES = 128 * 2 ** 20;

type Planned = Pick<OpenedVideo, 'info' | 'index' | 'seeking'>;

/**
 * Which runs decode which frames. Between two wanted frames there are two ways: go on decoding up to
 * the next, or seek to the keyframe before it. Each such choice costs the same whatever the
 * others are, so taking the cheaper one each time gives the cheapest plan. Where the container's clock jumps a run ends.
 *
 * @param indices positions in `ptsSeconds`, ascending.
 */
export function planRuns(
  { info, index: { keyframes, parts, ptsSeconds }, seeking }: Planned,
  indices: readonly number[],
  strategy: DecodeStrategy,
): DecodeRun[] {
  const frameMs = estimateFrameMs(info);
  const seekMs = SEEK_MS + (INDEX_MS * ptsSeconds.length) / 1000;
  const seekable = seeking !== 'none' && strategy !== 'pass';
  const runs: { indices: number[]; seek: boolean; decoded: number }[] = [];
  const keyframeOf = follow(keyframes);
  const partOf = follow(parts);
  for (const index of indices) {
    const fromKeyframe = index - keyframeOf(index) + 1;
    const last = runs.at(-1)?.indices.at(-1);
    const jumps = partOf(index) > (last ?? 0);
    const goOn = index - (last ?? -1);
    // Something has to be opened anyway.
    const cheaper = (last === undefined ? 0 : seekMs) + fromKeyframe * frameMs < goOn * frameMs;
    const full = (runs.at(-1)?.indices.length ?? 0) >= MAX_FRAMES_A_RUN;
    const seek =
      jumps || (seekable && (strategy === 'seek' || cheaper || (full && fromKeyframe < index + 1)));
    if (last === undefined || seek || full) {
      runs.push({ indices: [index], seek, decoded: seek ? fromKeyframe : index + 1 });
    } else {
      runs.at(-1)!.indices.push(index);
      runs.at(-1)!.decoded += goOn;
    }
  }
  return runs;
}

function estimateFrameMs({ width, height }: Planned['info']): number {
  return FRAME_MS + (MEGAPIXEL_MS * width * height) / 1e6;
}

/** What decoding so many frames in a row takes one core, in milliseconds. */
export function estimateDecodeMs({ info }: Pick<Planned, 'info'>, frames: number): number {
  return frames * estimateFrameMs(info);
}

/** The largest of some ascending positions that is not above an index; asked with ascending indices. */
function follow(positions: Uint32Array): (index: number) => number {
  let at = 0;
  return (index) => {
    while ((positions[at + 1] ?? Number.POSITIVE_INFINITY) <= index) at++;
    return positions[at]!;
  };
}

/** What one process decodes. */
export interface DecodeProcess {
  readonly runs: readonly DecodeRun[];
  /** Whether all its frames are held until their turn comes; else it waits for its reader. */
  readonly holds: boolean;
}

/**
 * Which processes make which runs: several a process, since starting one costs more than seeking. Each batch is worked on
 * by as many processes as there are cores, between which its frames are shared out as evenly as they can be. A process with
 * several runs gives their frames in no certain order, so they are all held: they are bounded. A long run has a process of
 * its own.
 */
export function planProcesses(
  runs: readonly DecodeRun[],
  frameBytes: number,
  cores: number,
): (readonly DecodeProcess[])[] {
  const bytesOf = (run: DecodeRun) => run.indices.length * frameBytes;
  const batches: DecodeRun[][] = [];
  let held = 0;
  for (const run of runs) {
    const batch = batches.at(-1);
    const fits = held + bytesOf(run) <= MAX_HELD_BYTES && (batch?.length ?? 0) < cores * MAX_RUNS_A_PROCESS;
    if (batch && fits) batch.push(run);
    else batches.push([run]);
    held = bytesOf(run) + (batch && fits ? held : 0);
  }
  return batches.map((batch) => {
    const holds = batch.reduce((sum, run) => sum + bytesOf(run), 0) <= MAX_HELD_BYTES;
    return shareOut(batch, Math.min(cores, batch.length)).map((runs) => ({ runs, holds }));
  });
}

/** The longest run first, each to whoever has least to do; each share is in the order of the video. */
function shareOut(runs: readonly DecodeRun[], count: number): DecodeRun[][] {
  const shares = Array.from({ length: count }, () => ({ runs: [] as DecodeRun[], decoded: 0 }));
  for (const run of [...runs].sort((a, b) => b.decoded - a.decoded)) {
    const free = shares.filter((share) => share.runs.length < MAX_RUNS_A_PROCESS);
    const least = free.reduce((best, share) => (share.decoded < best.decoded ? share : best));
    least.runs.push(run);
    least.decoded += run.decoded;
  }
  return shares.map((share) => share.runs.sort((a, b) => a.indices[0]! - b.indices[0]!));
}

/**
 * An expression of ffmpeg's select filter that passes the wanted frames by their time, and the frames
 * after them, so that a missing one is noticed at once; of several at one time, the first. A binary search: a frame is
 * compared log₂(n) times.
 *
 * @param ranges [from, to] of each wanted frame in microseconds, ascending, apart from each other.
 */
export function selectExpression(ranges: readonly (readonly [number, number])[]): string {
  const tree = (from: number, to: number): string => {
    if (to - from === 1) return `between(pts,${ranges[from]![0]},${ranges[from]![1]})`;
    const middle = (from + to) >> 1;
    return `if(lt(pts,${ranges[middle]![0]}),${tree(from, middle)},${tree(middle, to)})`;
  };
  return `(${tree(0, ranges.length)}+gt(pts,${ranges.at(-1)![1]}))*not(eq(pts,prev_selected_pts))`;
}

/** From halfway after the frame before to halfway before the frame after, in microseconds. */
export function timeRange(ptsSeconds: Float64Array, index: number): [number, number] {
  const micros = (i: number) => Math.round(ptsSeconds[i]! * 1e6);
  const half = (from: number, to: number) => Math.max(0, Math.floor((micros(to) - micros(from) - 1) / 2));
  const before = index > 0 ? half(index - 1, index) : 1000;
  const after = index < ptsSeconds.length - 1 ? half(index, index + 1) : 1000;
  return [micros(index) - before, micros(index) + after];
}
