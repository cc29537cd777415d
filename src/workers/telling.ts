import { AnswerShortener, type ToldProgress } from '../../queues/answers.js';
import type { JobProgress, Result } from '../../queues/schemas.js';

/**
 * Tells how a job goes on, one message at a time. Of reports that come while one is under way the latest replaces the
 * others, so that a slow receiver never gets a backlog; answers are all told, in order. What gets lost is no fault of the job.
 */
export class Telling {
  readonly #send: (progress: ToldProgress) => Promise<unknown>;
  #latest: JobProgress | null = null;
  #next: JobProgress | null = null;
  #answers: Result[] = [];
  #shortener = new AnswerShortener();
  #sending: Promise<void> | null = null;

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
      this.#sending ??= this.#drain();
    },
  };

  /** Resolves once nothing is under way. */
  async idle(): Promise<void> {
    await this.#sending;
  }

  async #drain(): Promise<void> {
    for (let progress = this.#take(); progress; progress = this.#take()) {
      await this.#send(progress).catch(() => {
        this.#shortener = new AnswerShortener(); // The next answer is told in a whole document.
      });
    }
    this.#sending = null;
  }

  #take(): ToldProgress | null {
    const answered = this.#latest && this.#answers.shift();
    if (answered) return { ...this.#latest!, ...this.#shortener.shorten(answered) };
    const next = this.#next;
    this.#next = null;
    return next;
  }
}
