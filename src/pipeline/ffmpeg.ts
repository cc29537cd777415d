import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { PassThrough, type Readable } from 'node:stream';
import ffmpeg from 'fluent-ffmpeg';
import { DecoderProcess, processLimits, type RunOptions, spawnOptions } from './decoder-process.js';
import type { FfmpegError } from './errors.js';
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

/** Uses other programs than the `ffmpeg` and `ffprobe` of PATH, from the next run on. */
export function useDecoder(other: Partial<DecoderPrograms>): void {
  programs = { ...programs, ...other };
  sandbox = null;
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

/**
 * The lines that ffprobe prints, as many at a time as have come. Leaving the loop early kills it.
 *
 * @param args what to show; the input and its allow-lists are added.
 * @returns the last of its error output when it has ended well.
 * @throws InputError when it fails or runs into the deadline, FfmpegError when something else killed it.
 */
export async function* probeLines(
  media: Media,
  args: readonly string[],
  options: RunOptions,
): AsyncGenerator<string[], string> {
  options.signal?.throwIfAborted();
  const box = await currentSandbox();
  const shown = ['-hide_banner', '-v', 'error', '-threads', '1', ...inputArgs(media, 'ffprobe'), ...args];
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

/** How a stretch of the video is decoded. */
export interface RawVideoOptions extends RunOptions {
  readonly streamIndex: number;
  /** Where to seek, in seconds from the container's start; null decodes from the beginning. */
  readonly seekSeconds: number | null;
  /** An expression of ffmpeg's select filter over `pts`, in microseconds. */
  readonly select: string;
  /** Size of the frames that come out, in pixels. */
  readonly width: number;
  readonly height: number;
}

/** A running decoder. */
export interface RawVideo {
  /** rgb24 frames, one after the other. */
  readonly pixels: Readable;
  /**
   * Time of the next decoded frame, selected or not, in microseconds; null at the end. Runs ahead of
   * `pixels`.
   */
  nextTime(): Promise<number | null>;
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

/** Starts ffmpeg through fluent-ffmpeg; raw frames and their times come through pipes, with back-pressure. */
export async function openRawVideo(media: Media, options: RawVideoOptions): Promise<RawVideo> {
  options.signal?.throwIfAborted();
  const box = await currentSandbox();
  const file = await openChecked(media);
  try {
    const pixels = new PassThrough({ highWaterMark: PIPE_BYTES });
    const command = rawVideoCommand(media, options);
    const run = start(command, box, file, media, options, pixels);
    return {
      pixels,
      nextTime: timesOf(run.child.stdio[3] as Readable),
      expire: () => run.kill('deadline'),
      end: async () => void (await run.end()),
      stop: async () => {
        await run.stop();
        pixels.destroy();
      },
      complaint: () => run.complaint(),
      failure: (message) => run.failure(message),
    };
  } finally {
    await file.close();
  }
}

function rawVideoCommand(media: Media, options: RawVideoOptions): ffmpeg.FfmpegCommand {
  const seek =
    options.seekSeconds === null ? [] : ['-noaccurate_seek', '-ss', options.seekSeconds.toFixed(6)];
  return ffmpeg()
    .input(inputName(media))
    .inputOptions(
      ...['-hide_banner', '-v', 'error', '-nostdin', '-copyts', '-threads', '1'],
      ...['-err_detect', 'explode'],
      ...inputArgs(media, 'ffmpeg'),
      ...seek,
    )
    .noAudio()
    .videoFilters([
      // Times in microseconds, whatever the container counts in.
      'settb=1/1000000',
      // `print` passes over frames without metadata.
      'metadata=mode=add:key=k:value=1',
      "metadata=mode=print:file='pipe\\:3':direct=1",
      `select='${options.select}'`,
      `scale=${options.width}:${options.height}`,
    ])
    .outputOptions(
      ...['-map', `0:${options.streamIndex}`, '-sn', '-dn', '-fps_mode', 'passthrough'],
      ...['-pix_fmt', 'rgb24', '-f', 'rawvideo', '-flush_packets', '1'],
    );
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
  options: RunOptions,
  pixels: PassThrough,
): DecoderProcess {
  const hooks = command as unknown as FluentHooks;
  const spawnFfmpeg = hooks._spawnFfmpeg;
  const wrapped = (args: string[]) => box.wrap('ffmpeg', args, processLimits(media, options));
  let run: DecoderProcess | null = null;
  hooks._prepare = (callback) => callback(null, hooks._getArguments());
  hooks._spawnFfmpeg = (args, fluentOptions, onStart, onEnd) => {
    const [program, ...rest] = wrapped(args);
    command.setFfmpegPath(program!);
    run = new DecoderProcess('ffmpeg', media, [program!, ...rest], options);
    const ours = { ...fluentOptions, ...spawnOptions(box, file) };
    const onChild = (child: ChildProcess, ...more: unknown[]) => {
      run!.adopt(child);
      onStart(child, ...more);
    };
    spawnFfmpeg.call(hooks, rest, ours, onChild, onEnd);
  };
  // Each way to end is seen on the child itself; without a listener these events would be thrown.
  command
    .on('error', () => {})
    .output(pixels)
    .run();
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

/**
 * Reads the times as they come, whether or not somebody waits for them: a decoder that is held up by its
 * times could not give the pixels that are being waited for.
 */
function timesOf(stream: Readable): () => Promise<number | null> {
  const times: number[] = [];
  let next = 0;
  let ended = false;
  let wake = () => {};
  const reading = (async () => {
    for await (const lines of linesOf(stream)) {
      for (const line of lines) {
        const [, pts] = /^frame:\d+ +pts:(-?\d+)/.exec(line) ?? [];
        if (pts !== undefined) times.push(Number(pts));
      }
      wake();
    }
  })()
    .catch(() => {
      // The decoder was stopped: what it has told until then counts.
    })
    .then(() => {
      ended = true;
    });
  return async () => {
    while (next === times.length && !ended) {
      const more = new Promise<void>((resolve) => {
        wake = resolve;
      });
      await Promise.race([reading, more]);
    }
    return times[next++] ?? null;
  };
}
