import type { RedisClient } from '../../queues/connection.js';
import type { Keys } from '../../queues/options.js';
import type { Result } from '../../queues/schemas.js';
import { type TextPiece, TextWriter } from '../../queues/text.js';

/** While nobody listens: how often that is looked up, in milliseconds. */
const lookupMs = 500;

/**
 * Passes the text of a job on while it is generated, to whoever listens. One message at a time: what is added while one is under
 * way goes together into the next, so that a slow server never gets a backlog. Without a listener nothing is sent, and whether
 * there is one is looked up twice a second, from half a second after the start on. What gets lost is no fault of the job.
 */
export class Speaking {
  readonly #writer: TextWriter;
  /** What was sent. */
  #said: TextPiece[] = [];
  /** What was not sent yet. */
  #pieces: TextPiece[] = [];
  #isHeard: boolean;
  #isOver = false;
  #sending: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param attempt its number
   * @param isHeard whether somebody listens when the attempt begins
   */
  constructor(redis: RedisClient, keys: Keys, id: string, attempt: number, isHeard: boolean) {
    this.#writer = new TextWriter(redis, keys, id, attempt);
    this.#isHeard = isHeard;
    if (!isHeard) this.#lookLater();
  }

  readonly listeners = {
    onText: (question: number, text: string): void => {
      const last = this.#pieces.at(-1);
      const goesOn = last !== undefined && 'text' in last && last.question === question;
      if (goesOn) this.#pieces[this.#pieces.length - 1] = { question, text: last.text + text };
      else this.#pieces.push({ question, text });
      this.#send();
    },
    onWhole: (question: number, answer: Result['answers'][number]): void => {
      this.#pieces.push({ question, answer });
      this.#send();
    },
  };

  /** Sends no more: the document of the job says the rest. Resolves once nothing is under way. */
  async end(): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#timer);
    await this.#sending;
  }

  #send(): void {
    if (!this.#isHeard || this.#isOver) return;
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = null;
    });
  }

  async #drain(): Promise<void> {
    while (this.#pieces.length > 0 && this.#isHeard && !this.#isOver) {
      const pieces = this.#pieces;
      this.#pieces = [];
      // After a fault nobody knows what was written: then the document alone says the rest.
      const how = await this.#writer.write(pieces).catch(() => 'replaced' as const);
      if (how === 'heard') {
        this.#said.push(...pieces);
        continue;
      }
      const again = how === 'expired' ? this.#said.splice(0) : [];
      this.#pieces = [...again, ...pieces, ...this.#pieces];
      if (how === 'expired') continue;
      this.#isHeard = false;
      if (how === 'unheard') this.#lookLater();
    }
  }

  #lookLater(): void {
    if (this.#isOver) return;
    this.#timer = setTimeout(async () => {
      this.#isHeard = await this.#writer.isHeard().catch(() => false);
      if (this.#isHeard) this.#send();
      else this.#lookLater();
    }, lookupMs).unref();
  }
}
