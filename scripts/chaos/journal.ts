import { EventEmitter, once } from 'node:events';
import { QueueEvents } from 'bullmq';
import { patientOptions, type RedisConnection } from '../../queues/connection.js';
import { prefix, queue } from './options.js';

/** What the queue says of each job: when it was taken up, and when it ended, by the server's clock, which is this machine's. */
export class Journal {
  readonly #timesMs = new Map<string, number[]>();
  readonly #changed = new EventEmitter().setMaxListeners(0);
  readonly #events: QueueEvents;

  constructor(connection: RedisConnection) {
    this.#events = new QueueEvents(queue, {
      connection: patientOptions(connection),
      prefix,
      lastEventId: '0-0',
    });
    this.#events.on('error', () => {}); // Redis is killed: it connects again by itself.
    for (const event of ['active', 'completed', 'failed', 'removed'] as const)
      this.#events.on(event, ({ jobId }: { jobId: string }, eventId: string) => this.#add(jobId, eventId));
  }

  /** When the job was first taken up or ended after this time; null where that did not happen. */
  back(id: string, afterMs: number): number | null {
    return this.#timesMs.get(id)?.find((atMs) => atMs >= afterMs) ?? null;
  }

  /** Resolves once the job was taken up, or ended, after this time. */
  async untilBack(id: string, afterMs: number, signal: AbortSignal): Promise<void> {
    while (this.back(id, afterMs) === null) await once(this.#changed, id, { signal });
  }

  async close(): Promise<void> {
    await this.#events.close();
  }

  /** The number of an event begins with its time. */
  #add(id: string, eventId: string): void {
    const times = this.#timesMs.get(id) ?? [];
    this.#timesMs.set(id, times);
    times.push(Number.parseInt(eventId, 10));
    this.#changed.emit(id);
  }
}
