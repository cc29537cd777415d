import type { ChildProcess, SpawnOptions } from 'node:child_process';
import type { FileHandle } from 'node:fs/promises';
import { FfmpegError, InputError } from '../errors.js';
import { INPUT_DESCRIPTOR, type Media } from './media.js';
import { type DecoderPrograms, killGroup, type ProcessLimits, type Sandbox, watch } from './sandbox.js';

/** What ends a run early. */
export interface RunOptions {
  readonly deadline: Deadline;
  readonly signal?: AbortSignal;
}

/**
 * A clock that runs only while somebody waits for the decoder, so that a slow consumer costs the decoder
 * nothing.
 */
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

const STDERR_BYTES = 8192;

/** One ffmpeg or ffprobe from its start to its end. */
export class DecoderProcess {
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
    /** Hears each line of its error output, and says whether it is kept for people; default all are. */
    private readonly hear: (line: string) => boolean = () => true,
  ) {}

  /** Takes over a child that was just spawned, detached, with pipes. */
  adopt(child: ChildProcess): void {
    this.child = child;
    const { signal } = this.options;
    const onAbort = () => this.kill('abort');
    signal?.addEventListener('abort', onAbort, { once: true });
    watch(child);
    let rest = '';
    child.stderr?.on('data', (data: Buffer | string) => {
      const lines = (rest + data.toString()).split('\n');
      // A line that never ends is cut.
      rest = lines.pop()!.slice(0, STDERR_BYTES);
      for (const line of lines) this.keep(line);
    });
    child.stderr?.once('close', () => {
      if (rest !== '') this.keep(rest);
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
      signal?.removeEventListener('abort', onAbort);
    });
    if (signal?.aborted) onAbort();
  }

  private keep(line: string): void {
    if (this.hear(line)) this.stderr = `${this.stderr}${line}\n`.slice(-STDERR_BYTES);
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
    // A sandbox ends with 128 + the number of the signal that ended the decoder inside.
    if (signal === 'SIGKILL' || signal === 'SIGTERM' || code === 137 || code === 143) {
      const how = signal ?? `exit code ${code}`;
      throw this.failure(`${this.program} was killed from outside (${how}), perhaps for want of memory`);
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

  /**
   * The last line of the error output that says something, with the file's name instead of the
   * descriptor's.
   */
  complaint(): string {
    const lines = this.stderr.split('\n').filter((line) => line.trim() !== '');
    const last = (lines.at(-1) ?? '').replace(/^(\[[^\]]*\] )+/, '');
    return last.replaceAll(INPUT_DESCRIPTOR, 'the file').trim();
  }

  private get path(): string {
    return JSON.stringify(this.media.path);
  }
}

/** The video, or a pipe, as standard input, pipes, and a process group of its own. */
export function spawnOptions(box: Sandbox, file: FileHandle | null, morePipes = 0): SpawnOptions {
  const pipes = Array<'pipe'>(2 + morePipes).fill('pipe');
  return { stdio: [file?.fd ?? 'pipe', ...pipes], detached: true, windowsHide: true, env: box.env };
}

/** Address space of a file that is open in a decoder beside another: packets, a thread, a decoder. */
const BESIDE_BYTES = 192 * 2 ** 20;

/**
 * Memory: 1 GiB, and for each time that the file is open room for 16 reference frames of three bytes a pixel (4:2:0 with
 * up to 16 bits). Processor time: far more than the deadline allows, since a decoder also works while nobody waits for it.
 *
 * @param times how often the file is open in the process.
 */
export function processLimits(
  { framePixels = 0 }: Media,
  { deadline }: RunOptions,
  times = 1,
): ProcessLimits {
  return {
    memoryBytes: 2 ** 30 + (times - 1) * BESIDE_BYTES + times * framePixels * 3 * 16,
    cpuSeconds: 60 + (10 * deadline.totalMs) / 1000,
  };
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
