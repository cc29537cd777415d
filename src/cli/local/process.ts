import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Result } from '../../../queues/schemas.js';
import { InputError } from '../../pipeline/errors.js';
import type { AnswerListeners } from '../../pipeline/types.js';
import type { LocalJob, Order, Report } from './messages.js';

/** How long the model process may take to stop by itself; a run of a big model cannot be interrupted. */
const graceMs = 3_000;

/**
 * A process of its own that loads a model once and answers job after job. ONNX Runtime blocks the thread that it runs on,
 * so with the model elsewhere this process draws its progress bar, hears Ctrl-C, and can end a run that does not.
 */
export class ModelProcess {
  #child: ChildProcess | null = null;

  /**
   * Answers one job; one at a time. Throws an InputError with the pipeline's sentence, or the signal's reason once the
   * model process has stopped.
   */
  answer(
    job: LocalJob,
    listeners: Pick<AnswerListeners, 'onProgress' | 'onText'>,
    signal: AbortSignal,
  ): Promise<Result> {
    signal.throwIfAborted();
    const child = this.#running();
    return new Promise<Result>((resolve, reject) => {
      let killer: NodeJS.Timeout | undefined;
      const settle = (act: () => void) => {
        clearTimeout(killer);
        signal.removeEventListener('abort', onAbort);
        child.off('message', onReport);
        child.off('exit', onExit);
        child.off('error', onError);
        act();
      };
      const onAbort = () => {
        send(child, { type: 'abort' });
        killer = setTimeout(() => killGroup(child), graceMs);
      };
      const onReport = (report: Report) => {
        if (report.type === 'progress') listeners.onProgress?.(report.progress);
        else if (report.type === 'text') listeners.onText?.(report.questionIndex, report.text);
        else if (signal.aborted) settle(() => reject(signal.reason));
        else if (report.type === 'result') settle(() => resolve(report.result));
        else settle(() => reject(rebuild(report)));
      };
      const onExit = (code: number | null, by: string | null) => {
        settle(() =>
          reject(signal.aborted ? signal.reason : new Error(`the model process ended (${by ?? code})`)),
        );
      };
      const onError = (error: Error) => settle(() => reject(error));
      signal.addEventListener('abort', onAbort);
      child.on('error', onError);
      child.on('message', onReport);
      child.on('exit', onExit);
      send(child, { type: 'answer', job });
    });
  }

  /** Ends the model process; without a job in hand it holds nothing that could be lost. */
  async close(): Promise<void> {
    const child = this.#child;
    if (!child) return;
    this.#child = null;
    const exited = new Promise((resolve) => child.once('exit', resolve));
    killGroup(child);
    await exited;
  }

  /**
   * The model process leads a process group, in which ffmpeg runs too: Ctrl-C on the terminal reaches this process
   * alone, and killing the group leaves nothing behind.
   */
  #running(): ChildProcess {
    if (this.#child) return this.#child;
    const file = fileURLToPath(new URL('child.js', import.meta.url));
    const child = fork(file, { detached: true, stdio: ['ignore', 2, 2, 'ipc'] });
    const forget = () => {
      if (this.#child === child) this.#child = null;
    };
    child.once('exit', forget).once('error', forget);
    this.#child = child;
    return child;
  }
}

function send(child: ChildProcess, order: Order): void {
  if (child.connected) child.send(order);
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function rebuild(report: Extract<Report, { type: 'error' }>): Error {
  const error = report.isInputError ? new InputError(report.message) : new Error(report.message);
  if (report.stack) error.stack = report.stack;
  return error;
}
