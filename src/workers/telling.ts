import { setTimeout as pause } from 'node:timers/promises';
import { AnswerShortener, type ToldProgress } from '../../queues/answers.js';
import type { JobProgress, Result } from '../../queues/schemas.js';

/** From one report to the next, in milliseconds: BullMQ keeps 10,000 events of all jobs, and nobody reads faster. */
const everyMs = 100;

/**
 * Tells how a job goes on, one message at a time. Of reports that come while one is under way, or soon after it, the latest replaces the
 * others; answers are all told, in order and at once. What gets lost is no fault of the job.
 */
export class Telling {
  readonly #send: (progress: ToldProgress) => Promise<unknown>;
  #latest: JobProgress | null = null;
  #next: JobProgress | null = null;
  #answers: Result[] = [];
  #shortener = new AnswerShortener();
  #sending: Promise<void> | null = null;
  #isOver = false;
  /** Ends the pause behind a report. */
  #hurry = () => {};

  constructor(send: (progress: ToldProgress) => Promise<unknown>) {
    this.#send = send;
  }

  readonly listeners = {
    onProgress: (progress: JobProgress): void => {
      this.#latest = this.#next = progress;
      this.#sending ??= this.#drain();
    },
    onAnswer: (document: Result): void => {
      this.#answers.push(document);
      this.#hurry();
      this.#sending ??= this.#drain();
    },
  };

  /** Tells answers that are left, and no more reports: how the job ended says more. Resolves once nothing is under way. */
  async end(): Promise<void> {
    this.#isOver = true;
    this.#next = null;
    this.#hurry();
    await this.#sending;
  }

  async #drain(): Promise<void> {
    for (let progress = this.#take(); progress; progress = this.#take()) {
      await this.#send(progress).catch(() => {
        this.#shortener = new AnswerShortener(); // The next answer is told in a whole document.
      });
      await this.#rest();
    }
    this.#sending = null;
  }

  async #rest(): Promise<void> {
    if (this.#isOver || this.#answers.length > 0) return;
    const over = new AbortController();
    this.#hurry = () => over.abort();
    await pause(everyMs, null, { signal: over.signal, ref: false }).catch(() => {});
  }

  #take(): ToldProgress | null {
    const answered = this.#latest && this.#answers.shift();
    if (answered) return { ...this.#latest!, ...this.#shortener.shorten(answered) };
    const next = this.#next;
    this.#next = null;
    return next;
  }
}
