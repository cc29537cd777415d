import { EventEmitter, once } from 'node:events';
import { QueueEvents } from 'bullmq';
import { patientOptions, type RedisConnection } from '../../queues/connection.js';
import { prefix, queue } from './options.js';

interface Entry {
  readonly event: 'active' | 'ended';
  /** By the server's clock, which is this machine's. */
  readonly atMs: number;
}

/** What the queue says happened to each job. */
export class Journal {
  readonly #entries = new Map<string, Entry[]>();
  readonly #changed = new EventEmitter().setMaxListeners(0);
  readonly #events: QueueEvents;

  constructor(connection: RedisConnection) {
    this.#events = new QueueEvents(queue, {
      connection: patientOptions(connection),
      prefix,
      lastEventId: '0-0',
    });
    this.#events.on('error', () => {}); // Redis is killed: it connects again by itself.
    this.#events.on('active', ({ jobId }, eventId) => this.#add(jobId, 'active', eventId));
    for (const end of ['completed', 'failed', 'removed'] as const)
      this.#events.on(end, ({ jobId }: { jobId: string }, eventId: string) =>
        this.#add(jobId, 'ended', eventId),
      );
  }

  /** When the job was first taken up or ended after this time; null where that did not happen. */
  back(id: string, afterMs: number): number | null {
    return this.#entries.get(id)?.find(({ atMs }) => atMs >= afterMs)?.atMs ?? null;
  }

  /** Resolves once the job was taken up, or ended, after this time. */
  async untilBack(id: string, afterMs: number, signal: AbortSignal): Promise<void> {
    while (this.back(id, afterMs) === null) await once(this.#changed, id, { signal });
  }

  async close(): Promise<void> {
    await this.#events.close();
  }

  #add(id: string, event: Entry['event'], eventId: string): void {
    const entries = this.#entries.get(id) ?? [];
    this.#entries.set(id, entries);
    entries.push({ event, atMs: Number.parseInt(eventId, 10) });
    this.#changed.emit(id);
  }
}
