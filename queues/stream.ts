import type { Channels } from './channels.js';
import { RedisUnavailableError } from './connection.js';
import type { Keys } from './options.js';
import type { ResultDocument } from './schemas.js';
import { readMessage, type TextMessage } from './text.js';
import { type StreamEvent, Transcript } from './transcript.js';

export interface StreamOptions {
  /** Give up after this time; the job goes on. Default: listen for as long as it takes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface StreamParts {
  readonly id: string;
  readonly keys: Keys;
  readonly channels: Channels;
  /** Resolves once the job has ended. */
  readonly ended: Promise<ResultDocument>;
  sayListening(): Promise<void>;
  /** Messages that were kept, from a number on. */
  read(from: number): Promise<(TextMessage | null)[]>;
}

/** How often what was kept is read besides the messages, some of which may be lost, in milliseconds. */
const lookupMs = 1_000;

/** What is heard of a job until it has ended; the last event has its document. */
export async function* streamJob(parts: StreamParts): AsyncGenerator<StreamEvent, void> {
  const stream = new JobStream(parts);
  try {
    yield* stream.events();
  } finally {
    stream.close();
  }
}

class JobStream {
  readonly #parts: StreamParts;
  readonly #transcript = new Transcript();
  readonly #events: StreamEvent[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #deafen: () => void;
  #reading: Promise<void> | null = null;
  #fault: { readonly error: unknown } | null = null;
  #isOver = false;
  #wake = () => {};

  constructor(parts: StreamParts) {
    this.#parts = parts;
    const { id, keys, channels, ended } = parts;
    this.#deafen = channels.listen(keys.text(id), (text) => this.#hear(readMessage(text)));
    this.#timer = setInterval(this.#look, lookupMs);
    this.#look();
    ended.then(
      (document) => this.#end(this.#transcript.end(document)),
      (error: unknown) => this.#fail(error),
    );
  }

  async *events(): AsyncGenerator<StreamEvent, void> {
    for (;;) {
      while (this.#events.length > 0) yield this.#events.shift()!;
      if (this.#fault) throw this.#fault.error;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  close(): void {
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#deafen();
  }

  #hear(message: TextMessage | null): void {
    if (message === null || this.#isOver) return;
    const events = this.#transcript.hear(message);
    if (events === null) this.#look();
    else this.#push(events);
  }

  /** One look at a time; a break is waited out. */
  readonly #look = (): void => {
    this.#reading ??= this.#read()
      .catch((error: unknown) => error instanceof RedisUnavailableError || this.#fail(error))
      .then(() => {
        this.#reading = null;
      });
  };

  async #read(): Promise<void> {
    const { sayListening, read } = this.#parts;
    await sayListening();
    // The last message that was heard is read again: where it is another one now, the list has begun anew.
    const known = Math.max(0, this.#transcript.next - 1);
    let messages = await read(known);
    const [first] = messages;
    if (known > 0 && !(first && this.#transcript.isOf(first.attempt))) messages = await read(0);
    if (this.#isOver) return;
    for (const message of messages) if (message) this.#push(this.#transcript.hear(message) ?? []);
  }

  #push(events: readonly StreamEvent[]): void {
    this.#events.push(...events);
    this.#wake();
  }

  #end(events: readonly StreamEvent[]): void {
    if (this.#isOver) return;
    this.#push(events);
    this.#isOver = true;
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#fault ??= { error };
    this.#wake();
  }
}
