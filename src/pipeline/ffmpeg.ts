import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { PassThrough, type Readable } from 'node:stream';
import ffmpeg from 'fluent-ffmpeg';
import { FfmpegError, InputError } from './errors.js';
import { type DecoderPrograms, findSandbox, INPUT_DESCRIPTOR, killGroup, type Sandbox } from './sandbox.js';

/**
 * Everything that starts ffmpeg or ffprobe. Videos are untrusted: each run gets allow-lists of protocols,
 * containers and codecs, the sandbox of sandbox.ts, and a deadline after which its process group is killed. The
 * decoder never sees a path: it gets the very file that was checked, opened, as its standard input.
 *
 * fluent-ffmpeg builds and runs the ffmpeg commands. What it cannot do is done here: it cannot wrap the program in a
 * sandbox or open a fourth pipe (so its two hooks `_prepare` and `_spawnFfmpeg` are replaced on each command,
 * which also saves its 200 ms of capability checks), its `kill` and its time limit are not to be relied upon (the child is
 * ours to kill), and its ffprobe can be neither limited nor killed (so ffprobe is spawned without it).
 */

/** A file that passed the checks of source.ts, and how to read it. */
export interface Media {
  /** Real path of a regular file. */
  readonly path: string;
  /** Of the file that was checked: another in its place, or the same one changed, is refused. */
  readonly identity: string;
  /** Forced demuxer of a picture file; null lets ffmpeg look, among the video containers. */
  readonly demuxer: StillDemuxer | null;
  /** Largest frame that may be decoded, in pixels. */
  readonly maxPixels: number;
  /** Pixels of its frames where they are known: what the decoder's memory is measured by. */
  readonly framePixels?: number;
}

export type StillDemuxer = 'png_pipe' | 'jpeg_pipe' | 'webp_pipe' | 'gif';

/** What ends a run early. */
export interface RunOptions {
  readonly deadline: Deadline;
  readonly signal?: AbortSignal;
}

/** A clock that runs only while somebody waits for the decoder, so that a slow consumer costs the decoder nothing. */
export class Deadline {
  private remainingMs: number;

  constructor(readonly totalMs: number) {
    this.remainingMs = totalMs;
  }

  /** Waits for `work`; calls `expire`, which has to bring `work` to an end, when the time is used up. */
  async during<T>(work: Promise<T>, expire: () => void): Promise<T> {
    const start = performance.now();
    const timer = setTimeout(expire, Math.max(0, Math.min(this.remainingMs, 2 ** 31 - 1)));
    try {
      return await work;
    } finally {
      clearTimeout(timer);
      this.remainingMs -= performance.now() - start;
    }
  }
}

export const videoFormats = ['mov', 'mp4', 'm4a', '3gp', '3g2', 'mj2', 'matroska', 'webm', 'avi', 'mpegts'];
export const videoCodecs = [
  ...[
    'h264',
    'hevc',
    'vp8',
    'vp9',
    'libvpx',
    'libvpx-vp9',
    'libdav1d',
    'av1',
    'mpeg4',
    'mpeg2video',
    'mjpeg',
  ],
];
/** What may lie beside the video. ffprobe gives up when a stream's codec is not on its list; ffmpeg does not. */
const companionCodecs = [
  ...['aac', 'aac_latm', 'mp3', 'mp3float', 'mp2', 'mp2float', 'ac3', 'eac3', 'dca', 'opus', 'libopus'],
  ...['vorbis', 'libvorbis', 'flac', 'alac', 'pcm_s16le', 'pcm_s16be', 'pcm_s24le', 'pcm_s32le', 'pcm_f32le'],
  ...['pcm_u8', 'pcm_alaw', 'pcm_mulaw', 'amrnb', 'libopencore_amrnb', 'amrwb', 'libopencore_amrwb'],
  ...['mov_text', 'srt', 'subrip', 'ass', 'ssa', 'webvtt', 'text', 'dvbsub', 'pgssub', 'dvdsub', 'png'],
];
const stillCodecs: Record<StillDemuxer, string> = {
  png_pipe: 'png',
  jpeg_pipe: 'mjpeg',
  webp_pipe: 'webp',
  gif: 'gif',
};

const MAX_STREAMS = 16;
const STDERR_BYTES = 8192;
const PIPE_BYTES = 2 ** 20;

/** Decoders that run now; they do not outlive this process. */
const running = new Set<ChildProcess>();
process.on('exit', () => running.forEach(killGroup));

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
  sandbox ??= findSandbox(programs);
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
  const command = box.wrap(
    'ffprobe',
    [
      '-hide_banner',
      '-v',
      'error',
      '-threads',
      '1',
      ...inputArgs(media, companionCodecs),
      ...args,
      inputName(media),
    ],
    processLimits(media, options),
  );
  const file = await openChecked(media);
  let run: Run;
  try {
    run = new Run('ffprobe', media, command, options);
    run.adopt(spawn(command[0]!, command.slice(1), spawnOptions(box, file)));
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
  /** Decoder threads; default 1. */
  readonly threads?: number;
}

/** A running decoder. */
export interface RawVideo {
  /** rgb24 frames, one after the other. */
  readonly pixels: Readable;
  /** Time of the next decoded frame, selected or not, in microseconds; null at the end. Runs ahead of `pixels`. */
  nextTime(): Promise<number | null>;
  /** Kills it because its time is used up. */
  expire(): void;
  /** Waits until it has ended. @throws as `probeLines`, but not for an exit code: what it has given counts. */
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
      ...['-hide_banner', '-v', 'error', '-nostdin', '-copyts', '-threads', String(options.threads ?? 1)],
      ...['-err_detect', 'explode'],
      ...inputArgs(media),
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
): Run {
  const hooks = command as unknown as FluentHooks;
  const spawnFfmpeg = hooks._spawnFfmpeg;
  const wrapped = (args: string[]) => box.wrap('ffmpeg', args, processLimits(media, options));
  let run: Run | null = null;
  hooks._prepare = (callback) => callback(null, hooks._getArguments());
  hooks._spawnFfmpeg = (args, fluentOptions, onStart, onEnd) => {
    const [program, ...rest] = wrapped(args);
    command.setFfmpegPath(program!);
    run = new Run('ffmpeg', media, [program!, ...rest], options);
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

/** One process from its start to its end. */
class Run {
  child!: ChildProcess;
  /** The last 8 kB of its error output. */
  stderr = '';
  /** Settles when the process is gone and its error output is read. */
  ended!: Promise<{ code: number | null; signal: NodeJS.Signals | null; error?: Error }>;
  private killedBy: 'deadline' | 'abort' | 'stop' | null = null;

  constructor(
    private readonly program: keyof DecoderPrograms,
    private readonly media: Media,
    private readonly command: readonly string[],
    private readonly options: RunOptions,
  ) {}

  /** Takes over a child that was just spawned, detached, with pipes. */
  adopt(child: ChildProcess): void {
    this.child = child;
    const { signal } = this.options;
    const onAbort = () => this.kill('abort');
    signal?.addEventListener('abort', onAbort, { once: true });
    running.add(child);
    child.stderr?.on('data', (data: Buffer | string) => {
      this.stderr = (this.stderr + data.toString()).slice(-STDERR_BYTES);
    });
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve({ code: null, signal: null, error }));
      child.once('exit', (code, killed) => {
        // What it may have started itself goes with it.
        killGroup(child);
        const end = () => resolve({ code, signal: killed });
        if (!child.stderr || child.stderr.closed) end();
        else child.stderr.once('close', end);
      });
    });
    void this.ended.then(() => {
      running.delete(child);
      signal?.removeEventListener('abort', onAbort);
    });
    if (signal?.aborted) onAbort();
  }

  kill(reason: 'deadline' | 'abort' | 'stop'): void {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.killedBy ??= reason;
    killGroup(this.child);
  }

  /** Waits for the end. Throws when something else than itself ended it. */
  async end(): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    const { code, signal, error } = await this.ended;
    if (this.killedBy === 'abort') this.options.signal?.throwIfAborted();
    if (error) throw this.failure(`${this.program} could not be started: ${error.message}`, { cause: error });
    if (this.killedBy === 'deadline') {
      const seconds = this.options.deadline.totalMs / 1000;
      const message = `${this.path}: ${this.program} did not finish within ${seconds} s and was killed`;
      throw new InputError(message, { cause: this.failure(message) });
    }
    if (signal === 'SIGKILL' || signal === 'SIGTERM') {
      throw this.failure(
        `${this.program} was killed from outside with ${signal}, perhaps for want of memory`,
      );
    }
    return { code, signal };
  }

  /** Waits for a good end. */
  async succeed(): Promise<void> {
    const { code, signal } = await this.end();
    if (code === 0) return;
    const ending = signal ? `crashed with ${signal}` : `ended with exit code ${code}`;
    const reason = this.complaint() || 'it gave no reason';
    const message = `${this.path} cannot be read: ${this.program} ${ending}: ${reason}`;
    throw new InputError(message, { cause: this.failure(message, { code }) });
  }

  async stop(): Promise<void> {
    this.kill('stop');
    // Nobody reads these any more; a pipe with unread data never closes.
    for (const stream of this.child.stdio) stream?.destroy();
    await this.ended;
  }

  failure(message: string, { code, cause }: { code?: number | null; cause?: unknown } = {}): FfmpegError {
    const shown = `${this.command.map(quote).join(' ')} < ${quote(this.media.path)}`;
    return new FfmpegError(message, shown, code ?? this.child?.exitCode ?? null, this.stderr, { cause });
  }

  /** The last line of the error output that says something, with the file's name instead of the descriptor's. */
  complaint(): string {
    const lines = this.stderr.split('\n').filter((line) => line.trim() !== '');
    const last = (lines.at(-1) ?? '').replace(/^\[[^\]]*\] /, '');
    return last.replaceAll(INPUT_DESCRIPTOR, 'the file').trim();
  }

  private get path(): string {
    return JSON.stringify(this.media.path);
  }
}

function inputArgs(media: Media, companions: readonly string[] = []): string[] {
  const formats = media.demuxer ? [media.demuxer] : videoFormats;
  const codecs = media.demuxer ? [stillCodecs[media.demuxer]] : [...videoCodecs, ...companions];
  return [
    ...['-protocol_whitelist', 'file,pipe', '-format_whitelist', formats.join()],
    ...['-codec_whitelist', codecs.join(), '-max_streams', String(MAX_STREAMS)],
    ...['-max_pixels', String(media.maxPixels)],
    ...(media.demuxer ? ['-f', media.demuxer] : []),
  ];
}

/** Elsewhere than on Linux a descriptor shares its place in the file with its copies: there the path is given. */
function inputName(media: Media): string {
  return process.platform === 'linux' ? INPUT_DESCRIPTOR : `file:${media.path}`;
}

/** Opened anew for each run, and only if it still is the file that was checked. */
async function openChecked(media: Media): Promise<FileHandle> {
  const file = await open(media.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (identityOf(await file.stat()) === media.identity) return file;
  await file.close();
  throw new InputError(`${JSON.stringify(media.path)} was changed while it was being read`);
}

export function identityOf({ dev, ino, size, mtimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs].join(':');
}

function spawnOptions(box: Sandbox, file: FileHandle): SpawnOptions {
  return { stdio: [file.fd, 'pipe', 'pipe', 'pipe'], detached: true, windowsHide: true, env: box.env };
}

/** 1 GiB, and room for 16 reference frames of three bytes a pixel (4:2:0 with up to 16 bits). */
function processLimits({ framePixels = 0 }: Media, { deadline }: RunOptions) {
  return { memoryBytes: 2 ** 30 + framePixels * 3 * 16, cpuSeconds: deadline.totalMs / 1000 + 5 };
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

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
