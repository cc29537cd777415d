import { availableParallelism } from 'node:os';
import type { InputError } from '../errors.js';
import { decodeAnimation } from './animated-webp.js';
import {
  type DecodeProcess,
  type DecodeRun,
  type DecodeStrategy,
  planProcesses,
  planRuns,
} from './decode-plan.js';
import {
  type FrameReader,
  openReaders,
  type Pixels,
  type Readers,
  type ReadOptions,
} from './decode-reader.js';
import { type Start, startsAt } from './decode-start.js';
import { Deadline } from './decoder-process.js';
import { resizeRgb } from './image.js';
import type { OpenedVideo } from './open.js';
import { Substitutes } from './substitute.js';
import type { Frame } from './types.js';

export interface DecodeOptions {
  /** The decoder is killed when it has let us wait this long altogether, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  /** Default `auto`. */
  readonly strategy?: DecodeStrategy;
  /** Whether a damaged frame is an error; default false: the nearest sound one takes its place. */
  readonly strict?: boolean;
  /** Hears of each damaged frame: its time, and that of the one in its place, in seconds. */
  readonly onDamage?: (wantedSeconds: number, takenSeconds: number) => void;
}

/** Decoder processes at work at the same time: one is read, the next works ahead. */
const PROCESSES = 2;
/** A decoder gains little from more threads than this, and each takes memory. */
const MAX_THREADS = 4;
/** Pillow's number of the bicubic filter. */
const BICUBIC = 3;

/**
 * Decodes the wanted frames, in order, as a player shows them: upright, whole, in SDR, with square pixels, each in its
 * own shape, as RGB with 8 bit. Frames come through pipes as they are asked for, so memory does not grow with the video;
 * leaving the loop early ends the decoders. Each frame is known by its time, not by counting.
 *
 * @param indices positions in `video.index.ptsSeconds`, strictly ascending.
 * @throws InputError when no sound frame is left, a frame is damaged and `strict` is set, or the decoder runs into its
 *   deadline; FfmpegError for what is wrong with the machine; the signal's reason.
 */
export async function* decodeFrames(
  video: OpenedVideo,
  indices: readonly number[],
  options: DecodeOptions,
): AsyncGenerator<Frame> {
  checkIndices(video, indices);
  if (video.animation) return yield* decodeAnimation(video.media, video.animation, indices, options);
  const { width, height } = video.info;
  const cores = Math.min(availableParallelism(), MAX_THREADS);
  const runs = planRuns(video, indices, options.strategy ?? 'auto');
  const batches = planProcesses(runs, width * height * 3, Math.min(cores, PROCESSES));
  const read = { deadline: new Deadline(options.timeoutMs), signal: options.signal };
  const substitutes = new Substitutes(video, read);
  const open = (batch: readonly DecodeProcess[]) =>
    batch.map((process) => openProcess(video, process, cores, read));
  const opened: OpenedProcess[][] = [];
  let position = 0;
  try {
    for (const i of batches.keys()) {
      opened[i] ??= open(batches[i]!);
      const processes = opened[i];
      const places = inOrder(processes);
      for (const [k, place] of places.entries()) {
        // What is left of this batch is decoded by now, or will be soon.
        if (2 * k >= places.length && batches[i + 1]) opened[i + 1] ??= open(batches[i + 1]!);
        const reader = await readerOf(video, place);
        try {
          for (const index of reader.indices) {
            const taken = await takeFrame(video, reader, index, substitutes, options, read);
            yield { index: position++, ...taken };
          }
        } finally {
          await reader.stop();
        }
      }
      await stopAll(processes);
    }
  } finally {
    await stopAll(opened.flat());
  }
}

/** A process that decodes, or is about to. */
interface OpenedProcess {
  readonly runs: readonly DecodeRun[];
  readonly options: ReadOptions;
  readonly readers: Promise<Readers>;
}

function openProcess(
  video: OpenedVideo,
  { runs, holds }: DecodeProcess,
  cores: number,
  read: Pick<ReadOptions, 'deadline' | 'signal'>,
): OpenedProcess {
  const options = { ...read, holds, threads: holds ? 1 : cores };
  const starts = runs.map((run) => firstStart(video, run));
  const readers = openReaders(video, starts, options);
  // A failure counts when its turn comes.
  readers.catch(() => {});
  return { runs, options, readers };
}

/** A run and where it is decoded. */
interface Place {
  readonly run: DecodeRun;
  readonly process: OpenedProcess;
  /** Among the runs of its process. */
  readonly position: number;
}

function inOrder(processes: readonly OpenedProcess[]): Place[] {
  const places = processes.flatMap((process) =>
    process.runs.map((run, position) => ({ run, process, position })),
  );
  return places.sort((a, b) => a.run.indices[0]! - b.run.indices[0]!);
}

async function readerOf(video: OpenedVideo, { run, process, position }: Place): Promise<RunReader> {
  return new RunReader(video, run, (await process.readers).readers[position]!, process.options);
}

async function stopAll(processes: readonly OpenedProcess[]): Promise<void> {
  await Promise.all(processes.map(async ({ readers }) => (await readers.catch(() => null))?.stop()));
}

function checkIndices({ index: { ptsSeconds } }: OpenedVideo, indices: readonly number[]): void {
  indices.forEach((index, i) => {
    const ascending = i === 0 || index > indices[i - 1]!;
    if (Number.isInteger(index) && index >= 0 && index < ptsSeconds.length && ascending) return;
    throw new RangeError(
      `frame indices must ascend and lie between 0 and ${ptsSeconds.length - 1}, got ${index} at place ${i}`,
    );
  });
}

/** The frame, or the one that takes its place. */
async function takeFrame(
  video: OpenedVideo,
  reader: RunReader,
  index: number,
  substitutes: Substitutes,
  { strict, onDamage }: DecodeOptions,
  read: Pick<ReadOptions, 'deadline' | 'signal'>,
): Promise<Omit<Frame, 'index'>> {
  const times = video.index.ptsSeconds;
  const verdict = await reader.judge(index);
  if (verdict === 'sound')
    return { ptsSeconds: times[index]!, ...(await restoreShape(await reader.pixels())) };
  const other = await substitutes.find(index, verdict);
  if (verdict === 'damaged' && strict && other !== index) throw reader.missing(index);
  if (other === null && !reader.came(index)) throw reader.missing(index);
  if (other === null) {
    // Nothing far and wide is better.
    onDamage?.(times[index]!, times[index]!);
    return { ptsSeconds: times[index]!, ...(await restoreShape(await reader.pixels())) };
  }
  // By itself its group of pictures may turn out to be sound.
  if (verdict === 'damaged' && other !== index) onDamage?.(times[index]!, times[other]!);
  return { ptsSeconds: times[other]!, ...(await restoreShape(await readOne(video, other, read))) };
}

/** A frame that was found sound, by a process of its own. */
async function readOne(
  video: OpenedVideo,
  index: number,
  read: Pick<ReadOptions, 'deadline' | 'signal'>,
): Promise<Pixels> {
  const run: DecodeRun = { indices: [index], seek: true, decoded: 1 };
  const options = { ...read, threads: 1, holds: false };
  const opened = await openReaders(video, [firstStart(video, run)], options);
  const reader = new RunReader(video, run, opened.readers[0]!, options);
  try {
    await reader.judge(index);
    if (!reader.came(index)) throw reader.missing(index);
    return await reader.pixels();
  } finally {
    await reader.stop();
    await opened.stop();
  }
}

/** Undoes the squeezing of a frame whose size is not that of the run's first. */
async function restoreShape({
  rgb,
  width,
  height,
  shown: size,
}: Pixels): Promise<Pick<Frame, 'rgb' | 'width' | 'height'>> {
  if (size.width === width && size.height === height) return { rgb, width, height };
  return { rgb: await resizeRgb(rgb, width, height, size.width, size.height, BICUBIC), ...size };
}

function firstStart(
  video: OpenedVideo,
  { indices, seek }: DecodeRun,
): { indices: readonly number[]; start: Start } {
  const start = seek ? startsAt(video, indices[0]!)[0]! : { position: 0, from: null };
  return { indices, start };
}

/**
 * A run that begins anew, for what is left of it, where seeking landed too late, where several threads leave it open which
 * frame is damaged, and where the stream changes its size.
 */
class RunReader {
  #reader: FrameReader;
  #own: Readers | null = null;
  #threads: number;
  /** What is left to try, should the decoder begin too late. */
  #starts: Start[];
  #isFresh = false;
  #judged = -1;

  constructor(
    private readonly video: OpenedVideo,
    private readonly run: DecodeRun,
    reader: FrameReader,
    private readonly options: ReadOptions,
  ) {
    this.#reader = reader;
    this.#threads = options.threads;
    this.#starts = run.seek ? startsAt(video, run.indices[0]!).slice(1) : [];
  }

  async judge(index: number): Promise<'sound' | 'damaged' | 'absent'> {
    this.#judged = index;
    for (;;) {
      const verdict = await this.#reader.judge(index);
      if (verdict === 'unsure') {
        this.#threads = 1;
        await this.#restart(index, startsAt(this.video, index));
      } else if (verdict === 'late') {
        if (this.#starts.length === 0) return 'damaged';
        await this.#restart(index, this.#starts);
      } else return verdict;
    }
  }

  came(index: number): boolean {
    return this.#reader.came(index);
  }

  /** Of the frame that was judged last. */
  async pixels(): Promise<Pixels> {
    const pixels = await this.#reader.pixels();
    const { width, height, shown } = pixels;
    if ((width === shown.width && height === shown.height) || this.#isFresh) return pixels;
    // From its own keyframe it may come in its own size.
    this.#isFresh = true;
    const index = this.#judged;
    await this.#restart(index, startsAt(this.video, index));
    if ((await this.judge(index)) !== 'sound') return pixels;
    const again = await this.#reader.pixels();
    this.#isFresh = false;
    return again;
  }

  get indices(): readonly number[] {
    return this.run.indices;
  }

  missing(index: number): InputError {
    return this.#reader.missing(index);
  }

  /** Ends what was begun anew, and lets the process go on with its other runs. */
  async stop(): Promise<void> {
    this.#reader.drain();
    await this.#own?.stop();
  }

  async #restart(index: number, starts: readonly Start[]): Promise<void> {
    await this.stop();
    const [start, ...others] = starts as [Start, ...Start[]];
    this.#starts = others;
    const indices = this.run.indices.filter((wanted) => wanted >= index);
    this.#own = await openReaders(this.video, [{ indices, start }], {
      ...this.options,
      threads: this.#threads,
    });
    this.#reader = this.#own.readers[0]!;
  }
}
