import { availableParallelism } from 'node:os';
import { CELL_VALUES, CELLS, type FrameCells } from './cells.js';
import { estimateDecodeMs, timeRange } from './decode-plan.js';
import { clockExpression, startsAt } from './decode-start.js';
import { type LoggedFrame, showFrames } from './decoder-log.js';
import { Deadline } from './decoder-process.js';
import { openRawVideo, type RawVideo } from './ffmpeg.js';
import type { OpenedVideo } from './open.js';
import { readExactly } from './read-exactly.js';

export interface ScanOptions {
  /** As of `decodeFrames`, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Keyframes alone; default false: every frame. */
  readonly keyframes?: boolean;
}

/** A decoder gains little from more threads than this. */
const MAX_THREADS = 4;

function countThreads(): number {
  return Math.min(availableParallelism(), MAX_THREADS);
}

/** About how long a scan of so many frames takes, in milliseconds. */
export function estimateScanMs(video: OpenedVideo, frames: number): number {
  return estimateDecodeMs(video, frames) / countThreads();
}

/**
 * Every frame from `first` to `last` at the size of a thumbnail, in order, in one pass. The loop filter is left out: means
 * of cells hardly change by it. A frame that cannot be decoded is left out.
 *
 * @throws as `decodeFrames` for what is wrong with the machine or takes too long; the signal's reason.
 */
export async function* scanFrames(
  video: OpenedVideo,
  [first, last]: readonly [number, number],
  { timeoutMs, ...options }: ScanOptions,
): AsyncGenerator<FrameCells> {
  const deadline = new Deadline(timeoutMs);
  const { parts } = video.index;
  for (const [i, part] of parts.entries()) {
    const from = Math.max(first, part);
    const to = Math.min(last, (parts[i + 1] ?? Number.POSITIVE_INFINITY) - 1);
    if (from <= to) yield* scanPart(video, [from, to], deadline, options);
  }
}

async function* scanPart(
  video: OpenedVideo,
  [from, to]: readonly [number, number],
  deadline: Deadline,
  { signal, keyframes }: Omit<ScanOptions, 'timeoutMs'>,
): AsyncGenerator<FrameCells> {
  const { ptsSeconds } = video.index;
  const start = from === 0 ? { position: 0, from: null } : startsAt(video, from)[0]!;
  const [earliest] = timeRange(ptsSeconds, from);
  const [, latest] = timeRange(ptsSeconds, to);
  const raw = await openRawVideo(video.media, {
    ...{ deadline, signal, holds: false, rotates: false },
    threads: countThreads(),
    skips: keyframes ? 'between-keyframes' : 'loop-filter',
    stretches: [
      {
        from: start.from,
        stream: video.streamMap,
        filters: [
          'settb=1/1000000',
          `setpts='${clockExpression(video, start)}'`,
          `select='between(pts,${earliest},${latest})'`,
          showFrames(0),
          `scale=${CELLS}:${CELLS}:flags=area`,
        ],
        frames: to - from + 1,
      },
    ],
  });
  try {
    let position = from;
    for (;;) {
      const frame = await deadline.during(nextFrame(raw), () => raw.expire());
      signal?.throwIfAborted();
      if (frame === null) return;
      while (position < to && frame.micros > timeRange(ptsSeconds, position)[1]) position++;
      if (frame.micros < timeRange(ptsSeconds, position)[0]) continue;
      yield { index: position, cells: frame.cells };
    }
  } finally {
    await raw.stop();
  }
}

async function nextFrame(raw: RawVideo): Promise<(LoggedFrame & Pick<FrameCells, 'cells'>) | null> {
  const frame = await raw.nextFrame(0);
  const cells = frame && (await readExactly(raw.pixels[0]!, CELL_VALUES));
  if (frame && cells) return { ...frame, cells };
  await raw.end();
  return null;
}
