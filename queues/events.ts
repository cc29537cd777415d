import { setTimeout as pause } from 'node:timers/promises';
import { QueueEvents } from 'bullmq';
import { AnswerReader, readTold, type ToldProgress } from './answers.js';
import { Clients } from './clients.js';
import { type RedisClient, type RedisConnection, RedisUnavailableError } from './connection.js';
import type { JobProgress, Result } from './schemas.js';

export interface WaitOptions {
  /** Give up after this time; the job goes on. Default: wait for as long as it takes. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  onProgress?(progress: JobProgress): void;
  /** Each answer that becomes whole before the last one does, in a document with it alone; see `answered` in `JobProgress`. */
  onAnswer?(document: Result): void;
}

interface Listener {
  /** Something happened that may have finished the job. */
  onChange(): void;
  onProgress(progress: ToldProgress): void;
}

/** How long ending may take, in milliseconds. */
const farewellMs = 2_000;

/** How often waiting jobs are looked up besides the events, in milliseconds. */
const lookupMs = 5_000;

/**
 * Tells the callers of `wait` when to look. The stream of events is read on from the last entry before the
 * first caller came, so that none falls into a gap; but BullMQ trims that stream, and a server may lose it,
 * so all waiting jobs are looked up every few seconds as well.
 */
export class JobEvents {
  readonly #events: QueueEvents;
  readonly #clients: Clients;
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #timer: NodeJS.Timeout;

  /** `redis` is connected. */
  static async open(
    redis: RedisClient,
    connection: RedisConnection,
    prefix: string,
    queue: string,
  ): Promise<JobEvents> {
    const last = await redis.xrevrange(`${prefix}:${queue}:events`, '+', '-', 'COUNT', 1);
    const clients = new Clients(connection);
    const client = clients.open();
    client.on('error', () => {}); // It reconnects by itself; the timer below bridges the time.
    const options = { connection: client, prefix, lastEventId: last[0]?.[0] ?? '0-0' };
    return new JobEvents(new QueueEvents(queue, options), clients);
  }

  private constructor(events: QueueEvents, clients: Clients) {
    this.#events = events;
    this.#clients = clients;
    events.on('error', () => {});
    const changed = ({ jobId }: { jobId: string }) => this.#tell(jobId, (listener) => listener.onChange());
    events.on('completed', changed).on('failed', changed).on('removed', changed);
    events.on('progress', ({ jobId, data }) => {
      if (!this.#listeners.has(jobId)) return; // Another producer's.
      const progress = readTold(data);
      if (progress) this.#tell(jobId, (listener) => listener.onProgress(progress));
    });
    this.#timer = setInterval(() => {
      for (const id of this.#listeners.keys()) this.#tell(id, (listener) => listener.onChange());
    }, lookupMs);
    this.#timer.unref();
  }

  /**
   * Resolves with what `look` finds: it is called now, and whenever something happened to the job. A break of
   * the connection is waited out.
   */
  async until<T>(id: string, look: () => Promise<T | null>, options: WaitOptions): Promise<T> {
    const { timeoutMs, signal } = options;
    let listener: Listener | undefined;
    let timer: NodeJS.Timeout | undefined;
    let onAbort = () => {};
    try {
      return await new Promise((resolve, reject) => {
        const found = (value: T | null) => value !== null && resolve(value);
        const failed = (error: unknown) => error instanceof RedisUnavailableError || reject(error);
        const answers = new AnswerReader();
        const onProgress = (progress: ToldProgress) => {
          options.onProgress?.(progress);
          const answered = options.onAnswer && answers.read(progress);
          if (answered) options.onAnswer?.(answered);
        };
        listener = { onChange: () => look().then(found, failed), onProgress };
        onAbort = () => reject(signal?.reason);
        if (signal?.aborted) onAbort();
        signal?.addEventListener('abort', onAbort);
        const late = `job ${id} was not finished after ${timeoutMs} ms; it goes on`;
        if (timeoutMs !== undefined) {
          timer = setTimeout(() => reject(new DOMException(late, 'TimeoutError')), timeoutMs);
        }
        this.#add(id, listener);
        look().then(found, reject);
      });
    } finally {
      signal?.removeEventListener('abort', onAbort);
      clearTimeout(timer);
      if (listener) this.#remove(id, listener);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#listeners.clear();
    // BullMQ would wait for the end of a connection to a server that has gone.
    const closed = this.#events.close().catch(() => {});
    this.#clients.end();
    await Promise.race([closed, pause(farewellMs, null, { ref: false })]);
  }

  #add(id: string, listener: Listener): void {
    const listeners = this.#listeners.get(id) ?? new Set();
    this.#listeners.set(id, listeners.add(listener));
  }

  #remove(id: string, listener: Listener): void {
    const listeners = this.#listeners.get(id);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(id);
  }

  #tell(id: string, say: (listener: Listener) => void): void {
    for (const listener of [...(this.#listeners.get(id) ?? [])]) say(listener);
  }
}
