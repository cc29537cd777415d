import type { Request, Response } from 'express';
import { RedisUnavailableError } from '../../../queues/connection.js';
import { messageOf } from '../../format.js';
import type { JobIndex } from '../index/index.js';
import { EventStream } from './event-stream.js';
import type { Overviews } from './overview.js';
import type { JobRow, LiveEvent } from './schemas.js';

/** How often events of jobs are sent, in milliseconds: of each job the latest, so ten a second. */
const jobsMs = 100;
/** How often it is looked whether the overview changed, in milliseconds. */
const overviewMs = 1_000;
/** Without any change it is sent after so many looks: memory and ages change all the same. */
const looksBetween = 5;
/** Of more jobs at a time than these no reader could make use; the oldest changes are left out. */
const pendingJobs = 1_000;

interface Listener {
  readonly stream: EventStream;
  readonly hours: number;
  /** Jobs that changed since it was sent something. */
  readonly pending: Map<string, JobRow>;
  isAway: boolean;
  isSending: boolean;
}

interface LiveParts {
  readonly index: Pick<JobIndex, 'onChange' | 'version'>;
  readonly overviews: Pick<Overviews, 'of'>;
}

/** Tells all who listen what changes. While nobody does, nothing is done. */
export class Live {
  readonly #parts: LiveParts;
  readonly #listeners = new Set<Listener>();
  #jobsTimer: NodeJS.Timeout | undefined;
  #overviewTimer: NodeJS.Timeout | undefined;
  #deafen = () => {};
  #looks = 0;
  #version = -1;
  #isLooking = false;

  constructor(parts: LiveParts) {
    this.#parts = parts;
  }

  /** @throws Problem where too many listen. */
  listen(request: Request, response: Response, hours: number): void {
    const stream = new EventStream(request, response);
    const listener: Listener = { stream, hours, pending: new Map(), isAway: false, isSending: false };
    this.#listeners.add(listener);
    stream.signal.addEventListener('abort', () => this.#leave(listener));
    if (stream.signal.aborted) this.#leave(listener);
    else if (this.#listeners.size === 1) this.#start();
    this.#tellOverview(listener);
  }

  close(): void {
    for (const { stream } of [...this.#listeners]) stream.end();
  }

  #start(): void {
    this.#deafen = this.#parts.index.onChange((rows) => this.#hear(rows));
    this.#jobsTimer = setInterval(() => this.#tellJobs(), jobsMs).unref();
    this.#overviewTimer = setInterval(() => this.#look(), overviewMs).unref();
  }

  #leave(listener: Listener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size > 0) return;
    this.#deafen();
    clearInterval(this.#jobsTimer);
    clearInterval(this.#overviewTimer);
  }

  #hear(rows: readonly JobRow[]): void {
    for (const { pending } of this.#listeners) {
      for (const row of rows) {
        pending.delete(row.id);
        pending.set(row.id, row);
      }
      for (const id of pending.keys()) {
        if (pending.size <= pendingJobs) break;
        pending.delete(id);
      }
    }
  }

  #tellJobs(): void {
    for (const listener of this.#listeners) if (!listener.isSending) sendPending(listener);
  }

  /** One look at a time: a server that does not answer takes its time. */
  async #look(): Promise<void> {
    this.#looks += 1;
    const { version } = this.#parts.index;
    const isAway = [...this.#listeners].some((listener) => listener.isAway);
    if (this.#isLooking || (version === this.#version && this.#looks < looksBetween && !isAway)) return;
    this.#isLooking = true;
    this.#version = version;
    this.#looks = 0;
    await Promise.all([...this.#listeners].map((listener) => this.#tellOverview(listener)));
    this.#isLooking = false;
  }

  async #tellOverview(listener: Listener): Promise<void> {
    const { stream } = listener;
    try {
      const overview = await this.#parts.overviews.of(listener.hours);
      if (listener.isAway) send(stream, { type: 'back' });
      listener.isAway = false;
      if (!stream.isFull) send(stream, { type: 'overview', overview });
    } catch (error) {
      if (listener.isAway) return;
      listener.isAway = true;
      const reason =
        error instanceof RedisUnavailableError ? error.message : `the dashboard failed: ${messageOf(error)}`;
      send(stream, { type: 'away', error: reason });
    }
  }
}

/** As fast as the reader takes it; what changes meanwhile waits for the next time. */
async function sendPending(listener: Listener): Promise<void> {
  const { stream, pending } = listener;
  const rows = [...pending.values()];
  pending.clear();
  listener.isSending = true;
  for (const row of rows) {
    await stream.drained();
    if (stream.signal.aborted) break;
    send(stream, { type: 'job', row });
  }
  listener.isSending = false;
}

function send(stream: EventStream, event: LiveEvent): void {
  stream.send(event);
}
