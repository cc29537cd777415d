import { type ChildProcess, execFile, type SpawnOptions, spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { PassThrough, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import ffmpeg from 'fluent-ffmpeg';
import type { FfmpegError } from '../errors.js';
import { followLog, type LoggedFrame } from './decoder-log.js';
import { DecoderProcess, processLimits, type RunOptions, spawnOptions } from './decoder-process.js';
import { inputArgs, inputName, type Media, openChecked } from './media.js';
import { type DecoderPrograms, findSandbox, type Sandbox } from './sandbox.js';

/**
 * Everything that starts ffmpeg or ffprobe. Videos are untrusted: each run gets allow-lists of protocols,
 * containers and codecs, the sandbox of sandbox.ts, and a deadline after which its process group is killed.
 * The decoder never sees a path: it gets the very file that was checked, opened, as its standard input.
 *
 * fluent-ffmpeg builds and runs the ffmpeg commands. What it cannot do is done here: it cannot wrap the
 * program in a sandbox or open a fourth pipe (so its two hooks `_prepare` and `_spawnFfmpeg` are replaced
 * on each command, which also saves its 200 ms of capability checks), its `kill` and its time limit are not
 * to be relied upon (the child is ours to kill), and its ffprobe can be neither limited nor killed (so
 * ffprobe is spawned without it).
 */

const PIPE_BYTES = 2 ** 20;

let programs: DecoderPrograms = { ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' };
let sandbox: Promise<Sandbox> | null = null;
let companions: Promise<readonly string[]> | null = null;
const LISTING_LIMITS = { memoryBytes: 2 ** 30, cpuSeconds: 10 };

/** Uses other programs than the `ffmpeg` and `ffprobe` of PATH, from the next run on. */
export function useDecoder(other: Partial<DecoderPrograms>): void {
  if (Object.entries(other).every(([name, path]) => programs[name as keyof DecoderPrograms] === path)) return;
  programs = { ...programs, ...other };
  sandbox = null;
  companions = null;
}

/** Which sandbox is around the decoders of this machine, in words. Looks for it at the first call. */
export async function decoderSandbox(): Promise<string> {
  return (await currentSandbox()).description;
}

function currentSandbox(): Promise<Sandbox> {
  sandbox ??= findSandbox(programs).catch((error: unknown) => {
    // Somebody may install ffmpeg while the worker runs.
    sandbox = null;
    throw error;
  });
  return sandbox;
}

/** All decoders of sound and subtitles that this ffmpeg has. */
export async function companionsOfThisFfmpeg(): Promise<readonly string[]> {
  companions ??= listCompanions().catch((error: unknown) => {
    companions = null;
    throw error;
  });
  return companions;
}

async function listCompanions(): Promise<string[]> {
  const box = await currentSandbox();
  const [program, ...args] = box.wrap('ffmpeg', ['-v', 'error', '-decoders'], LISTING_LIMITS);
  const { stdout } = await promisify(execFile)(program!, args, { env: box.env, timeout: 10_000 });
  return stdout.split('\n').flatMap((line) => /^ [AS]\S{5} (\S+)/.exec(line)?.[1] ?? []);
}

/**
 * The lines that ffprobe prints, as many at a time as have come. Leaving the loop early kills it.
 *
 * @param args what to show; the input and its allow-lists are added.
 * @param companions decoders that are allowed beside the video's; default the common ones.
 * @returns the last of its error output when it has ended well.
 * @throws InputError when it fails or runs into the deadline, FfmpegError when something else killed it.
 */
export async function* probeLines(
  media: Media,
  args: readonly string[],
  options: RunOptions,
  companions?: readonly string[],
): AsyncGenerator<string[], string> {
  options.signal?.throwIfAborted();
  const box = await currentSandbox();
  const shown = [
    '-hide_banner',
    '-v',
    'error',
    '-threads',
    '1',
    ...inputArgs(media, 'ffprobe', companions),
    ...args,
  ];
  const command = box.wrap('ffprobe', [...shown, inputName(media)], processLimits(media, options));
  const file = await openChecked(media);
  let run: DecoderProcess;
  try {
    run = new DecoderProcess('ffprobe', media, command, options);
    run.adopt(spawn(command[0]!, command.slice(1), spawnOptions(box, file)));
    // Of a process that ends before its output has a listener, Node throws the output away.
    run.child.stdout!.on('readable', () => {});
  } finally {
    await file.close();
  }
  try {
    void options.deadline.during(run.ended, () => run.kill('deadline'));
    yield* linesOf(run.child.stdout!);
    await run.succeed();
    return run.stderr;
  } finally {
    await run.stop();
  }
}

/** A stretch of the video that a process decodes into a pipe of its own. */
export interface Stretch {
  /** Where it begins; null for the start of the file. */
  readonly from: { readonly seconds: number } | { readonly byte: number } | null;
  /** Which stream of the file, for `-map`. */
  readonly stream: string;
  /** Filters up to the selected frames as they shall come out. */
  readonly filters: readonly string[];
  /** It ends with the selected frame that comes behind this many. */
  readonly frames: number;
}

export interface RawVideoOptions extends RunOptions {
  readonly stretches: readonly Stretch[];
  /** Threads of the decoder. */
  readonly threads: number;
  /** Whether all frames are read as fast as they come: needed with several stretches, whose order is not certain. */
  readonly holds: boolean;
  /** Whether ffmpeg itself turns frames upright. */
  readonly rotates: boolean;
  /** Default rgb24. */
  readonly pixelFormat?: 'rgb24' | 'rgba';
  /** What the decoder leaves out to be quicker; default nothing. */
  readonly skips?: 'loop-filter' | 'between-keyframes';
  /** What the decoder reads instead of the file. */
  readonly feed?: () => AsyncIterable<Buffer>;
}

/** A running decoder. */
export interface RawVideo {
  /** Of each stretch, the selected frames in rgb24, one behind the other. */
  readonly pixels: readonly Readable[];
  /** Whether what is said beside a frame may be of one that comes later. */
  readonly runsAhead: boolean;
  /**
   * The next decoded frame of a stretch, selected or not; null at the end. Runs ahead of `pixels`. Of several stretches, each
   * gets a frame of which nobody can tell whose it is.
   */
  nextFrame(stretch: number): Promise<LoggedFrame | null>;
  /** Kills it because its time is used up. */
  expire(): void;
  /**
   * Waits until it has ended. @throws as `probeLines`, but not for an exit code: what it has given counts.
   */
  end(): Promise<void>;
  /** Kills what still runs, and waits until it is gone. Never throws. */
  stop(): Promise<void>;
  /** What it complained of last; empty where it did not. */
  complaint(): string;
  /** An error with the command and the last of its error output, to be the `cause` of another. */
  failure(message: string): FfmpegError;
}

/**
 * Starts one ffmpeg through fluent-ffmpeg for all stretches; their raw frames come through pipes, with back-pressure,
 * and what it tells of each decoded frame through its error output.
 */
export async function openRawVideo(media: Media, options: RawVideoOptions): Promise<RawVideo> {
  options.signal?.throwIfAborted();
  const box = await currentSandbox();
  const file = await openChecked(media);
  try {
    const logs = options.stretches.map(() => new FrameLog());
    const hear = followLog((frame) => {
      if (logs.length === 1) logs[0]!.push({ ...frame, stretch: 0 });
      else if (frame.stretch === null) for (const log of logs) log.push(frame);
      else logs[frame.stretch]?.push(frame);
    });
    const run = start(rawVideoCommand(media, options), box, file, media, options, hear);
    // A decoder that has ended wants no more.
    if (options.feed) void pipeline(options.feed, run.child.stdin!).catch(() => {});
    void run.ended.then(() => {
      for (const log of logs) log.end();
    });
    const highWaterMark = options.holds ? 2 ** 40 : PIPE_BYTES;
    const pixels = options.stretches.map((_, i) =>
      (run.child.stdio[3 + i] as Readable).pipe(new PassThrough({ highWaterMark })),
    );
    return {
      pixels,
      runsAhead: box.runsAhead,
      nextFrame: (stretch) => logs[stretch]!.next(),
      expire: () => run.kill('deadline'),
      end: async () => void (await run.end()),
      stop: async () => {
        await run.stop();
        for (const stream of pixels) stream.destroy();
      },
      complaint: () => run.complaint(),
      failure: (message) => run.failure(message),
    };
  } finally {
    await file.close();
  }
}

const skipping = {
  'loop-filter': ['-skip_loop_filter', 'all'],
  'between-keyframes': ['-skip_frame', 'nokey', '-skip_loop_filter', 'all'],
} as const;

function rawVideoCommand(media: Media, options: RawVideoOptions): ffmpeg.FfmpegCommand {
  const command = ffmpeg();
  for (const { from } of options.stretches) {
    const seek = from && 'seconds' in from ? ['-noaccurate_seek', '-ss', from.seconds.toFixed(6)] : [];
    const skip = from && 'byte' in from ? ['-skip_initial_bytes', String(from.byte)] : [];
    command.input(options.feed ? 'pipe:0' : inputName(media)).inputOptions([
      ...['-hide_banner', '-nostats', '-v', 'repeat+level+info', '-nostdin', '-copyts'],
      // Few frames go through the filters: threads of theirs would only take memory.
      ...[
        '-filter_threads',
        '1',
        '-threads',
        String(options.threads),
        ...(options.rotates ? [] : ['-noautorotate']),
        ...(options.skips ? skipping[options.skips] : []),
      ],
      ...inputArgs(media, 'ffmpeg'),
      ...[...seek, ...skip],
    ]);
  }
  options.stretches.forEach(({ stream, filters, frames }, i) => {
    command
      .output(`pipe:${3 + i}`)
      .noAudio()
      // A stretch that is over is decoded no further; -frames:v alone lets ffmpeg go on until all of them are.
      .videoFilters([...filters, `trim=end_frame=${frames}`])
      .outputOptions([
        ...['-map', `${i}:${stream}`, '-sn', '-dn', '-fps_mode', 'passthrough', '-frames:v', String(frames)],
        ...['-pix_fmt', options.pixelFormat ?? 'rgb24', '-f', 'rawvideo', '-flush_packets', '1'],
      ]);
  });
  return command;
}

/** The frames of a stretch that were told of and not asked for yet. */
class FrameLog {
  readonly #frames: LoggedFrame[] = [];
  #ended = false;
  #wake = () => {};

  push(frame: LoggedFrame): void {
    this.#frames.push(frame);
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async next(): Promise<LoggedFrame | null> {
    while (this.#frames.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#frames.shift() ?? null;
  }
}

/** The parts of fluent-ffmpeg 2.1.3 that are replaced. The package is archived: they stay as they are. */
interface FluentHooks {
  _prepare(callback: (error: Error | null, args: string[]) => void): void;
  _getArguments(): string[];
  _spawnFfmpeg(
    args: string[],
    options: SpawnOptions,
    onStart: (child: ChildProcess, ...rest: unknown[]) => void,
    onEnd: (error: Error | null, ...rest: unknown[]) => void,
  ): void;
}

function start(
  command: ffmpeg.FfmpegCommand,
  box: Sandbox,
  file: FileHandle,
  media: Media,
  options: RawVideoOptions,
  hear: (line: string) => boolean,
): DecoderProcess {
  const hooks = command as unknown as FluentHooks;
  const spawnFfmpeg = hooks._spawnFfmpeg;
  const limits = processLimits(media, options, options.stretches.length);
  const wrapped = (args: string[]) => box.wrap('ffmpeg', args, limits);
  let run: DecoderProcess | null = null;
  hooks._prepare = (callback) => callback(null, hooks._getArguments());
  hooks._spawnFfmpeg = (args, fluentOptions, onStart, onEnd) => {
    const [program, ...rest] = wrapped(args);
    command.setFfmpegPath(program!);
    run = new DecoderProcess('ffmpeg', media, [program!, ...rest], options, hear);
    const ours = {
      ...fluentOptions,
      ...spawnOptions(box, options.feed ? null : file, options.stretches.length),
    };
    const onChild = (child: ChildProcess, ...more: unknown[]) => {
      run!.adopt(child);
      onStart(child, ...more);
    };
    spawnFfmpeg.call(hooks, rest, ours, onChild, onEnd);
  };
  // Each way to end is seen on the child itself; without a listener these events would be thrown.
  command.on('error', () => {}).run();
  return run!;
}

async function* linesOf(stream: Readable): AsyncGenerator<string[]> {
  stream.setEncoding('utf8');
  let rest = '';
  for await (const text of stream) {
    const lines = (rest + text).split('\n');
    rest = lines.pop()!;
    yield lines;
  }
  if (rest !== '') yield [rest];
}
