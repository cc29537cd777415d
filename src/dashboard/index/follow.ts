import { setTimeout as pause } from 'node:timers/promises';
import { QueueEvents } from 'bullmq';
import { Clients } from '../../../queues/clients.js';
import type { RedisClient, RedisConnection } from '../../../queues/connection.js';
import type { JobState } from '../api/schemas.js';
import { type JobRecord, queueKey, readProgress } from './record.js';

export interface FollowOptions {
  readonly connection: RedisConnection;
  readonly prefix: string;
  readonly queue: string;
  /** A job changed; its new state where the event says it. */
  onJob(id: string, state: JobState | null): void;
  onProgress(id: string, progress: NonNullable<JobRecord['progress']>): void;
  /** Jobs changed without being named, or events may have been missed. */
  onGap(): void;
}

/** How long ending may take, in milliseconds. */
const farewellMs = 2_000;
/** Pause before events are followed anew that could not be read, in milliseconds. */
const restartMs = 1_000;

/** BullMQ's events that tell where a job stands now. */
const states: Readonly<Record<string, JobState>> = {
  added: 'waiting',
  waiting: 'waiting',
  delayed: 'delayed',
  active: 'active',
  completed: 'completed',
  failed: 'failed',
};

/** Follows a queue's events from now on, through breaks of the connection, until `close`. */
export class Following {
  readonly #options: FollowOptions;
  readonly #clients: Clients;
  readonly #running: Promise<void>;
  #events: QueueEvents | undefined;
  #isClosed = false;

  constructor(options: FollowOptions) {
    this.#options = options;
    this.#clients = new Clients(options.connection);
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    // BullMQ would wait for the end of a connection to a server that has gone.
    const closed = Promise.all([this.#events?.close().catch(() => {}), this.#running]);
    this.#clients.end();
    await Promise.race([closed, pause(farewellMs, null, { ref: false })]);
  }

  /** An event that BullMQ cannot read ends its reading: then all is read anew behind it. */
  async #run(): Promise<void> {
    const client = this.#openClient();
    while (!this.#isClosed) {
      // What is read after this is in order: whatever comes later is told.
      const lastEventId = await this.#lastEventId(client).catch(() => '$');
      if (this.#isClosed) return;
      this.#options.onGap();
      this.#events = this.#open(lastEventId);
      await this.#events.run().catch(() => {});
      if (this.#isClosed) return;
      await this.#events.close().catch(() => {});
      await pause(restartMs, null, { ref: false });
    }
  }

  #openClient(): RedisClient {
    const client = this.#clients.open();
    client.on('error', () => {}); // It reconnects by itself.
    return client;
  }

  async #lastEventId(client: RedisClient): Promise<string> {
    const { prefix, queue } = this.#options;
    const [last] = await client.xrevrange(queueKey(prefix, queue, 'events'), '+', '-', 'COUNT', 1);
    return last?.[0] ?? '0-0';
  }

  #open(lastEventId: string): QueueEvents {
    const { prefix, queue, onJob, onProgress, onGap } = this.#options;
    const connection = this.#openClient();
    const events = new QueueEvents(queue, { connection, prefix, autorun: false, lastEventId });
    events.on('error', () => {});
    for (const [event, state] of Object.entries(states)) {
      events.on(event as 'waiting', ({ jobId }) => onJob(jobId, state));
    }
    events.on('removed', ({ jobId }) => onJob(jobId, null));
    events.on('stalled', ({ jobId }) => onJob(jobId, null));
    events.on('cleaned', onGap);
    events.on('progress', ({ jobId, data }) => {
      const progress = readProgress(data);
      if (progress) onProgress(jobId, progress);
    });
    return events;
  }
}
