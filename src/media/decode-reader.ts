import type { Readable } from 'node:stream';
import { InputError } from '../errors.js';
import { type DecodeRun, selectExpression, timeRange } from './decode-plan.js';
import { clockExpression, last, type Start } from './decode-start.js';
import { type LoggedFrame, showFrames } from './decoder-log.js';
import type { Deadline } from './decoder-process.js';
import { deinterlace } from './deinterlace.js';
import { openRawVideo, type RawVideo } from './ffmpeg.js';
import { lookFilters, shownSize } from './frame-filters.js';
import type { OpenedVideo } from './open.js';
import { readExactly } from './read-exactly.js';

/** What one process reads of a video. */
export interface ReadOptions {
  readonly threads: number;
  /** Whether frames are read as fast as they come, or as they are asked for. */
  readonly holds: boolean;
  readonly deadline: Deadline;
  readonly signal: AbortSignal | undefined;
  /** Whether it is to be found out which frames of a damaged video are sound: then a doubt is enough to pass one over. */
  readonly isSurvey?: boolean;
}

/** A run and where its decoding begins. */
export interface StartedRun {
  readonly indices: DecodeRun['indices'];
  readonly start: Start;
}

/**
 * How it stands with a frame.
 * - `sound`: it came, and so did all that it was made from.
 * - `damaged`: the decoder could not make it, or had to guess.
 * - `absent`: the decoder passed over it without a word: it is not shown.
 * - `late`: the decoder began behind the keyframe.
 * - `unsure`: something was complained of, and with several threads nobody knows about which frame; or a frame was told of,
 *   and with several stretches nobody knows of which.
 */
export type Verdict = 'sound' | 'damaged' | 'absent' | 'late' | 'unsure';

/** A frame's pixels, (height, width, 3), and the size that they should have. */
export interface Pixels {
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
  /** Differs from `width` and `height` where the stream changed its size within the run, and frames are squeezed. */
  readonly shown: { readonly width: number; readonly height: number };
}

/** The frames of one run, asked for in their order. */
export interface FrameReader {
  judge(index: number): Promise<Verdict>;
  /** Whether the frame that was judged last came, in whatever state. */
  came(index: number): boolean;
  /** Of the frame that was judged last, if it came. */
  pixels(): Promise<Pixels>;
  missing(index: number): InputError;
  /** Throws away what is still to come, so that the process is not held up. */
  drain(): void;
}

/** The readers of one process, one a run. */
export interface Readers {
  readonly readers: readonly FrameReader[];
  /** Ends the process. Never throws. */
  stop(): Promise<void>;
}

export async function openReaders(
  video: OpenedVideo,
  runs: readonly StartedRun[],
  options: ReadOptions,
): Promise<Readers> {
  const { look, media, streamMap } = video;
  const raw = await openRawVideo(media, {
    ...options,
    rotates: look.orientation === null,
    stretches: runs.map((run, i) => ({
      from: run.start.from,
      stream: streamMap,
      filters: [
        // Times in microseconds, whatever the container counts in.
        'settb=1/1000000',
        `setpts='${clockExpression(video, run.start)}'`,
        showFrames(i),
        `select='${selectExpression(run.indices.map((index) => timeRange(video.index.ptsSeconds, index)))}'`,
        ...lookFilters(look),
      ],
      frames: run.indices.length,
    })),
  });
  return { readers: runs.map((run, i) => readRun(video, run, raw, i, options)), stop: () => raw.stop() };
}

function readRun(
  video: OpenedVideo,
  run: StartedRun,
  raw: RawVideo,
  stretch: number,
  { threads, deadline, signal, isSurvey = false }: ReadOptions,
): FrameReader {
  const behind = raw.runsAhead ? RUN_AHEAD : REORDERED;
  const follower = new Follower(video, run, threads, behind, isSurvey);
  const stream = raw.pixels[stretch]!;
  const wait = async <T>(work: Promise<T>): Promise<T> => {
    const result = await deadline.during(work, () => raw.expire());
    signal?.throwIfAborted();
    return result;
  };
  let read = 0;
  const judge = async (index: number) => {
    while (!follower.knows(index)) {
      const frame = await raw.nextFrame(stretch);
      if (frame) follower.take(frame);
      else {
        await raw.end();
        follower.finish(raw.complaint() !== '');
      }
    }
    return follower.verdict(index);
  };
  const pixels = async () => {
    const { width, height } = shownSize(video.look, follower.first!);
    for (; ; read++) {
      const rgb = await readExactly(stream, width * height * 3);
      if (rgb === null) {
        await raw.end();
        throw missingFrame(video, raw, follower.index);
      }
      if (read + 1 < follower.selected) continue;
      read++;
      const { firstField } = follower.matched!;
      if (firstField && video.look.rotation % 180 === 0) deinterlace(rgb, width, height, firstField);
      return { rgb, width, height, shown: shownSize(video.look, follower.matched!) };
    }
  };
  return {
    judge: (index) => wait(judge(index)),
    came: (index) => follower.index === index,
    pixels: () => wait(pixels()),
    missing: (index) => missingFrame(video, raw, index),
    drain: () => throwAway(stream),
  };
}

function throwAway(stream: Readable): void {
  stream.on('error', () => {}).resume();
}

function missingFrame({ info, index }: OpenedVideo, raw: RawVideo, position: number): InputError {
  const where = `${JSON.stringify(info.path)}: the frame at ${index.ptsSeconds[position]} seconds`;
  const complaint = raw.complaint() && ` (${raw.complaint()})`;
  const message = `${where} cannot be decoded: the video is damaged or truncated${complaint}`;
  return new InputError(message, { cause: raw.failure(message) });
}

/** Frames that a decoder may hold back to put them into the order of showing. */
const REORDERED = 4;
/** With those that may wait between the threads of ffmpeg since version 7 (eight, by its own default), and some more. */
const RUN_AHEAD = 16;

/**
 * Follows which frames the decoder gives, wanted or not, and what is to be thought of them. A decoder leaves out what it
 * cannot decode, or guesses; the frames after that, up to the next one that is made alone, are made from it.
 */
class Follower {
  /** The frame that the filters were set up for. */
  first: LoggedFrame | null = null;
  /** The last frame that was matched with one of the index, and that one's position. */
  matched: LoggedFrame | null = null;
  index = -1;
  /** Frames so far that the selection lets through. */
  selected = 0;
  #lastSelected = Number.NaN;
  readonly #pts: Float64Array;
  readonly #keyframes: Uint32Array;
  readonly #ranges: readonly (readonly [number, number])[];
  /** The first frame of the index that has not come yet. */
  #position: number;
  #isLate = false;
  #isUnsure = false;
  #isDamaged = false;
  /** Frames since the decoder spoke of damage: the frame that it spoke of may be shown later than some that came meanwhile. */
  #sinceDamage = Number.POSITIVE_INFINITY;
  #ended = false;

  constructor(
    { index }: OpenedVideo,
    private readonly run: StartedRun,
    private readonly threads: number,
    /** How many frames may still come before the one that the decoder speaks of. */
    private readonly behind: number,
    private readonly isSurvey: boolean,
  ) {
    this.#pts = index.ptsSeconds;
    this.#keyframes = index.keyframes;
    this.#ranges = run.indices.map((wanted) => timeRange(index.ptsSeconds, wanted));
    this.#position = run.start.position;
  }

  knows(index: number): boolean {
    return this.#ended || this.#isLate || this.#isUnsure || this.#position > index;
  }

  verdict(index: number): Verdict {
    if (this.#isLate) return 'late';
    if (this.#isUnsure) return 'unsure';
    if (this.index === index && !this.#isDamaged) return 'sound';
    return this.#isDamaged ? 'damaged' : 'absent';
  }

  take(frame: LoggedFrame): void {
    if (frame.stretch === null) {
      // Whether it is one of these decides which pixels are whose.
      this.#isUnsure = true;
      return;
    }
    const { micros, isIntra, isCorrupt, said } = frame;
    // What was said before the first frame is of frames that a keyframe was waited for.
    const heard = this.first || this.isSurvey ? said : { lost: false, guessed: false, complained: false };
    this.first ??= frame;
    if (this.#isSelected(micros)) {
      this.selected++;
      this.#lastSelected = micros;
    }
    if (this.threads > 1 && (isCorrupt || heard.complained || heard.guessed)) this.#isUnsure = true;
    const isSaid = heard.lost || ((heard.guessed || isCorrupt) && this.behind > REORDERED);
    this.#sinceDamage = isSaid ? 0 : this.#sinceDamage + 1;
    if (heard.lost || heard.guessed) this.#isDamaged = true;
    const before = this.#position;
    while (this.#position < this.#pts.length && micros > this.#rangeOf(this.#position)[1]) this.#position++;
    if (this.index < 0 && this.#position > before && this.run.start.from !== null) this.#isLate = true;
    if (!(this.#position < this.#pts.length && micros >= this.#rangeOf(this.#position)[0])) return;
    const isKeyframe = isIntra || last(this.#keyframes, this.#position) === this.#position;
    if (isKeyframe && (this.#sinceDamage >= this.behind || this.#isIntraOnly)) this.#isDamaged = false;
    if (isCorrupt) this.#isDamaged = true;
    this.matched = frame;
    this.index = this.#position++;
  }

  /** @param complained whether the decoder said anything that was not harmless. */
  finish(complained: boolean): void {
    this.#ended = true;
    if (complained) this.#isDamaged = true;
    if (this.index < 0 && this.run.start.from !== null) this.#isLate = true;
  }

  get #isIntraOnly(): boolean {
    return this.#keyframes.length === this.#pts.length;
  }

  #rangeOf(position: number): [number, number] {
    return timeRange(this.#pts, position);
  }

  /** As `selectExpression` has it. */
  #isSelected(micros: number): boolean {
    if (micros === this.#lastSelected) return false;
    const ranges = this.#ranges;
    let low = 0;
    let high = ranges.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (micros < ranges[middle]![0]) high = middle;
      else low = middle;
    }
    return (micros >= ranges[low]![0] && micros <= ranges[low]![1]) || micros > ranges.at(-1)![1];
  }
}
