import type { Readable } from 'node:stream';
import {
  type DecodeRun,
  type DecodeStrategy,
  planRuns,
  seekTime,
  selectExpression,
  timeRange,
} from './decode-plan.js';
import { Deadline } from './decoder-process.js';
import { InputError } from './errors.js';
import { openRawVideo, type RawVideo } from './ffmpeg.js';
import type { OpenedVideo } from './source.js';
import type { Frame } from './types.js';

export interface DecodeOptions {
  /** The decoder is killed when it has let us wait this long altogether, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Default `auto`. */
  readonly strategy?: DecodeStrategy;
}

/** Decoder processes at work at the same time: one is read, the next fills its pipe meanwhile. */
const RUNS_AT_ONCE = 2;

/**
 * Decodes the wanted frames, in order, upright, as RGB with 8 bit. Frames come through pipes as they are
 * asked for, so memory does not grow with the video; leaving the loop early ends the decoders. Each frame
 * is known by its time, not by counting: a frame that the decoder cannot give (a damaged or truncated file)
 * is missed, where ffmpeg's exit code is 0.
 *
 * @param indices positions in `video.ptsSeconds`, strictly ascending.
 * @throws InputError when a frame is missing or the decoder runs into its deadline; FfmpegError for what is
 *   wrong with the machine; the signal's reason.
 */
export async function* decodeFrames(
  video: OpenedVideo,
  indices: readonly number[],
  options: DecodeOptions,
): AsyncGenerator<Frame> {
  checkIndices(video, indices);
  const deadline = new Deadline(options.timeoutMs);
  const plan = planRuns(video, indices, options.strategy ?? 'auto');
  const queue = plan.map((run) => ({ run, reader: null as Promise<FrameReader> | null }));
  let position = 0;
  try {
    for (const [i, { run }] of queue.entries()) {
      for (const entry of queue.slice(i, i + RUNS_AT_ONCE)) {
        entry.reader ??= startReader(video, entry.run, deadline, options.signal);
        // A failure counts when its turn comes.
        entry.reader.catch(() => {});
      }
      for await (const rgb of readRun(video, run, queue[i]!.reader!, deadline, options.signal)) {
        const ptsSeconds = video.ptsSeconds[indices[position]!]!;
        const { width, height } = video.info;
        yield { index: position++, ptsSeconds, width, height, rgb };
      }
      queue[i]!.reader = null;
    }
  } finally {
    await Promise.all(queue.map(async ({ reader }) => (await reader?.catch(() => null))?.stop()));
  }
}

function checkIndices({ ptsSeconds }: OpenedVideo, indices: readonly number[]): void {
  indices.forEach((index, i) => {
    const ascending = i === 0 || index > indices[i - 1]!;
    if (Number.isInteger(index) && index >= 0 && index < ptsSeconds.length && ascending) return;
    throw new RangeError(
      `frame indices must ascend and lie between 0 and ${ptsSeconds.length - 1}, got ${index} at place ${i}`,
    );
  });
}

/** The frames of one run. Where seeking landed too late, the rest is decoded from the beginning instead. */
async function* readRun(
  video: OpenedVideo,
  run: DecodeRun,
  started: Promise<FrameReader>,
  deadline: Deadline,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let reader = await started;
  let seek = run.seek;
  try {
    for (const [i, index] of run.indices.entries()) {
      let rgb = await reader.read(index);
      if (rgb === null && seek) {
        await reader.stop();
        seek = false;
        reader = await startReader(video, { indices: run.indices.slice(i), seek }, deadline, signal);
        rgb = await reader.read(index);
      }
      if (rgb === null) throw reader.missing(index);
      yield rgb;
    }
  } finally {
    await reader.stop();
  }
}

interface FrameReader {
  /** The pixels of a frame, (height, width, 3); null when the decoder does not give it undamaged. */
  read(index: number): Promise<Uint8Array | null>;
  missing(index: number): InputError;
  stop(): Promise<void>;
}

async function startReader(
  video: OpenedVideo,
  run: DecodeRun,
  deadline: Deadline,
  signal?: AbortSignal,
): Promise<FrameReader> {
  const { width, height, streamIndex, path } = video.info;
  const raw = await openRawVideo(video.media, {
    ...{ deadline, signal, streamIndex, width, height },
    seekSeconds: run.seek ? seekTime(video, run.indices[0]!) : null,
    select: selectExpression(run.indices.map((index) => timeRange(video.ptsSeconds, index))),
  });
  const pixels = chunksOf(raw.pixels);
  const nextPixels = () => pixels(width * height * 3);
  const advance = followTimes(video, run, raw, nextPixels);
  const readFrame = async (index: number) => {
    if (!(await advance(index))) return null;
    const rgb = await nextPixels();
    if (rgb === null) await raw.end();
    return rgb;
  };
  return {
    read: async (index) => {
      const rgb = await deadline.during(readFrame(index), () => raw.expire());
      signal?.throwIfAborted();
      return rgb;
    },
    missing: (index) => {
      const where = `${JSON.stringify(path)}: the frame at ${video.ptsSeconds[index]} seconds`;
      const complaint = raw.complaint() && ` (${raw.complaint()})`;
      const message = `${where} cannot be decoded: the video is damaged or truncated${complaint}`;
      return new InputError(message, { cause: raw.failure(message) });
    },
    stop: () => raw.stop(),
  };
}

/**
 * Follows which frames the decoder gives, wanted or not. A decoder leaves out what it cannot decode, and
 * the frames after it, up to the next keyframe, are made from what was there before: these are damaged,
 * though nothing says so.
 *
 * @returns a function that goes on to a wanted frame, and says whether it and all frames since its keyframe
 *   came.
 */
function followTimes(
  { ptsSeconds, keyframes }: OpenedVideo,
  { indices, seek }: DecodeRun,
  raw: RawVideo,
  skipPixels: () => Promise<unknown>,
): (index: number) => Promise<boolean> {
  const wanted = new Set(indices);
  let keyframe = 0;
  const keyframeOf = (index: number) => {
    while ((keyframes[keyframe + 1] ?? Number.POSITIVE_INFINITY) <= index) keyframe++;
    return keyframes[keyframe]!;
  };
  /** The first frame that has not come yet. */
  let position = seek ? keyframeOf(indices[0]!) : 0;
  let lastMissing = -1;
  return async (index) => {
    while (position <= index) {
      const micros = await raw.nextTime();
      if (micros === null) {
        await raw.end();
        return false;
      }
      while (position < ptsSeconds.length && micros > timeRange(ptsSeconds, position)[1]) {
        lastMissing = position++;
      }
      if (position < ptsSeconds.length && micros >= timeRange(ptsSeconds, position)[0]) position++;
      // A second frame at the time of a wanted one was selected as well.
      else if (wanted.has(position - 1) && micros >= timeRange(ptsSeconds, position - 1)[0])
        await skipPixels();
    }
    return lastMissing < keyframeOf(index);
  };
}

/** Reads exact numbers of bytes from a stream; null at its end. */
function chunksOf(stream: Readable): (count: number) => Promise<Uint8Array | null> {
  const iterator = stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let chunk: Buffer = Buffer.alloc(0);
  return async (count) => {
    const bytes = new Uint8Array(count);
    for (let filled = 0; filled < count; ) {
      if (chunk.length === 0) {
        const { done, value } = await iterator.next();
        if (done) return null;
        chunk = value;
      }
      const part = chunk.subarray(0, count - filled);
      bytes.set(part, filled);
      filled += part.length;
      chunk = chunk.subarray(part.length);
    }
    return bytes;
  };
}
