import { type ChildProcess, fork } from 'node:child_process';
import { InputError } from '../errors.js';
import type { AnswerOutcome, Progress } from '../pipeline/types.js';
import { compiledEntry } from './entry.js';
import type { FromModel, ModelOrder, SentError, ToModel } from './messages.js';
import type { PackedSight } from './sight-maker.js';

export interface ModelProcessOptions {
  /** How long an aborted run may take to stop before its process is killed, in milliseconds. */
  readonly abortGraceMs: number;
  /** The compiled file that the process runs; default `model-child.js`. */
  readonly entry?: string;
}

export interface RunOptions {
  readonly signal?: AbortSignal;
  onProgress?(progress: Progress): void;
  /** The text that was added to an answer. */
  onText?(questionIndex: number, text: string): void;
  /** What was seen of the video, under each allowance, for an order that says `tellSight`. */
  onSight?(sight: PackedSight): void;
  /** Whether what was seen of a video that was encoded before is to be made again, and told; default not. */
  isSightWanted?(name: string): Promise<boolean>;
  /** Each answer when it is whole, for an order that says `tellAnswers`. */
  onAnswer?(outcome: AnswerOutcome, questionIndex: number): void;
}

/** The model process ended in the middle of a run. Another attempt gets a new one. */
export class ModelProcessError extends Error {
  override readonly name = 'ModelProcessError';
}

/** How many videos a process is remembered to have been asked about. */
const maxVideos = 64;

/** How much of a process's error output goes into the message when it dies. */
const stderrTail = 2_000;

/**
 * A process that holds a model loaded and runs one job at a time. It is started with the first job, and again
 * with the next one after it died or was killed. It leads a process group, so that killing it leaves no ffmpeg
 * behind.
 */
export class ModelProcess {
  readonly #options: ModelProcessOptions;
  #child: Child | null = null;
  #runs = 0;
  /** Of the model that it was given last. */
  #model: string | null = null;
  /** Videos that this model was asked about, the latest last. */
  readonly #videos = new Set<string>();

  constructor(options: ModelProcessOptions) {
    this.#options = options;
  }

  /** Starts the process before there is a job for it: it takes a while to load its code. */
  start(): void {
    if (this.#child?.isRunning) return;
    this.#child = new Child(this.#entry);
    this.#videos.clear();
  }

  /**
   * Answers one job. An aborted run is asked to stop first and killed after the grace period; either way the
   * promise is rejected only once it has stopped. A listener that throws aborts its run.
   *
   * @throws the signal's reason; what a listener threw; InputError and other errors as the pipeline threw them; ModelProcessError
   */
  async run(order: ModelOrder, options: RunOptions = {}): Promise<AnswerOutcome> {
    options.signal?.throwIfAborted();
    const faults = new AbortController();
    const signal = AbortSignal.any([faults.signal, ...(options.signal ? [options.signal] : [])]);
    this.start();
    const child = this.#child!;
    this.#remember(order);
    const run = ++this.#runs;
    let killer: NodeJS.Timeout | undefined;
    const onAbort = () => {
      child.tell({ type: 'abort', run });
      killer = setTimeout(() => child.kill(), this.#options.abortGraceMs);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      child.tell({ type: 'run', run, order });
      const outcome = await child.ended(run, options, (fault) => faults.abort(fault));
      faults.signal.throwIfAborted();
      return outcome;
    } catch (error) {
      throw signal.aborted ? signal.reason : error;
    } finally {
      clearTimeout(killer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** The model that is loaded, or was to be; null where there is none. See `modelKey`. */
  get model(): string | null {
    return this.#child?.isRunning ? this.#model : null;
  }

  /** None where no process runs. */
  get pid(): number | undefined {
    return this.#child?.isRunning ? this.#child.pid : undefined;
  }

  /** Whether the process was asked about the video lately, and may hold it prefilled. See `ModelOrder.videoKey`. */
  hasSeen(videoKey: string): boolean {
    return this.model !== null && this.#videos.has(videoKey);
  }

  #remember(order: ModelOrder): void {
    const model = modelKey(order);
    if (model !== this.#model) this.#videos.clear();
    this.#model = model;
    if (order.videoKey === undefined) return;
    this.#videos.delete(order.videoKey);
    this.#videos.add(order.videoKey);
    const [oldest] = this.#videos;
    if (this.#videos.size > maxVideos) this.#videos.delete(oldest!);
  }

  /** Kills the process, whatever it does. Resolves once it is gone. */
  async close(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child?.isRunning) child.kill();
    await child?.gone;
  }

  get #entry(): string {
    return this.#options.entry ?? compiledEntry('model-child.js', import.meta.url);
  }
}

/** Orders of equal keys need the same loaded model. */
export function modelKey({ modelDir, modelDigest, threads, provider }: Omit<ModelOrder, 'request'>): string {
  return JSON.stringify([modelDir, modelDigest, threads, provider]);
}

/** One process, from its start to its end. */
class Child {
  /** Resolves once the process has ended and its error output is read. */
  readonly gone: Promise<void>;
  readonly #process: ChildProcess;
  #stderr = '';

  constructor(entry: string) {
    // Without this process's own flags (an inspector's port, a test runner's loader).
    this.#process = fork(entry, [], { detached: true, execArgv: [], stdio: ['ignore', 2, 'pipe', 'ipc'] });
    this.#process.on('error', () => {}); // Such as a message to a process that has just died: `close` tells.
    this.#process.stderr?.on('data', (chunk: Buffer) => {
      process.stderr.write(chunk);
      this.#stderr = (this.#stderr + chunk.toString()).slice(-stderrTail);
    });
    this.#process.once('exit', () => this.kill()); // What it started and left behind.
    this.gone = new Promise((resolve) => this.#process.once('close', () => resolve()));
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get isRunning(): boolean {
    return this.#process.connected && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  tell(message: ToModel): void {
    if (this.#process.connected) this.#process.send(message);
  }

  /**
   * How the run ends: its outcome, the error it sent, or the process's death.
   *
   * @param onFault hears what a listener throws.
   */
  ended(
    run: number,
    { onProgress, onText, onAnswer, onSight, isSightWanted }: RunOptions,
    onFault: (fault: unknown) => void,
  ): Promise<AnswerOutcome> {
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        this.#process.off('message', onMessage).off('close', onClose);
        act();
      };
      const onClose = () => settle(() => reject(this.#death()));
      const hear = (message: FromModel) => {
        if (message.type === 'progress') onProgress?.(message.progress);
        else if (message.type === 'text') onText?.(message.questionIndex, message.text);
        else if (message.type === 'answer') onAnswer?.(message.outcome, message.questionIndex);
        else if (message.type === 'sight') onSight?.(message.sight);
        else if (message.type === 'offer') accept(message.name).catch(onFault);
        else if (message.type === 'done') settle(() => resolve(message.outcome));
        else settle(() => reject(unpackError(message.error)));
      };
      const accept = async (name: string) => {
        const isWanted = (await isSightWanted?.(name)) ?? false;
        this.tell({ type: 'wanted', run, name, isWanted });
      };
      const onMessage = (message: FromModel) => {
        if (message.run !== run) return;
        try {
          hear(message);
        } catch (fault) {
          onFault(fault);
        }
      };
      this.#process.on('message', onMessage).on('close', onClose);
    });
  }

  /** Kills the process group. */
  kill(): void {
    const { pid } = this.#process;
    if (pid === undefined) return;
    try {
      process.kill(-pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  #death(): ModelProcessError {
    const { exitCode, signalCode } = this.#process;
    const how = signalCode === null ? `ended with exit code ${exitCode}` : `was killed by ${signalCode}`;
    const last = this.#stderr.trimEnd();
    return new ModelProcessError(
      `the model process ${how}${last === '' ? '' : `; its last words:\n${last}`}`,
    );
  }
}

function unpackError({ name, message, code, fault }: SentError): Error {
  const error = fault ? new InputError(message, { fault }) : Object.assign(new Error(message), { name });
  return code === undefined ? error : Object.assign(error, { code });
}
