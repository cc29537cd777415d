import { setTimeout as pause } from 'node:timers/promises';
import type { z } from 'zod';
import { addressOf, connected, type RedisClient, type RedisConnection } from '../../../queues/connection.js';
import { Documents } from '../../../queues/documents.js';
import { keysOf } from '../../../queues/options.js';
import type { ErrorGroup, Facets, indexSchema, JobFilter, JobRow, JobState } from '../api/schemas.js';
import { detachedEntry, entryOfDocument, readDocument } from './document.js';
import { type Entry, entryOf, stateOf } from './entry.js';
import { type Figures, figuresOf } from './figures.js';
import { Following } from './follow.js';
import { Forgotten } from './forgotten.js';
import { condition, facetsOf, groupErrors, type JobQuery, listJobs } from './query.js';
import { readDetachedIds, readIds } from './queue-ids.js';
import { type JobRecord, queueKey, readRecords } from './record.js';
import { Rows } from './rows.js';

export interface JobIndexOptions {
  /** A hasty client. */
  readonly redis: RedisClient;
  readonly connection: RedisConnection;
  readonly prefix: string;
  readonly queue: string;
  /** At most so many jobs; default 200,000. */
  readonly limit?: number;
  /** How often it is compared with the queue, in milliseconds; default a minute. */
  readonly compareMs?: number;
}

type Heard = (rows: readonly JobRow[]) => void;

/** Jobs that are read in one round trip. */
const pageSize = 250;
/** How long changes are gathered before they are read, in milliseconds. */
const gatherMs = 100;
/** Pause before another try where Redis does not answer, in milliseconds. */
const retryMs = 1_000;

/**
 * All jobs of a queue in memory, in rows that are small and ready to be searched. It is built newest first in the background, follows
 * the queue's events, and is compared with the queue every minute, since events may get lost. It can be used at once.
 */
export class JobIndex {
  readonly #options: Required<JobIndexOptions>;
  readonly #rows = new Rows();
  readonly #documents: Documents;
  readonly #following: Following;
  readonly #listeners = new Set<Heard>();
  readonly #over = new AbortController();
  /** Jobs that changed, with their states where those were told. */
  readonly #changed = new Map<string, JobState | null>();
  /** What jobs asked that were cancelled before they began. */
  readonly forgotten = new Forgotten();
  /** What was told since the ids are read and compared: it is newer than they are. */
  #told: Map<string, JobState> | null = null;
  readonly #running: Promise<unknown>;
  /** How often it was told how far some job is. */
  #tolds = 0;
  #wake = () => {};
  #mustCompare = true;
  #isComplete = false;
  #hasDetached = false;
  /** How many jobs there were when they were last counted, and how many of them were above the limit. */
  #of = 0;
  #beyond = 0;

  constructor(options: JobIndexOptions) {
    this.#options = { limit: 200_000, compareMs: 60_000, ...options };
    const { redis, connection, prefix, queue } = this.#options;
    this.#documents = new Documents(redis, keysOf(prefix, queue), 0);
    this.#following = new Following({
      ...{ connection, prefix, queue },
      onJob: (id, state) => this.#hear(id, state),
      onProgress: (id, progress) => this.#takeProgress(id, progress),
      onGap: this.#compareSoon,
    });
    redis.on('ready', this.#compareSoon);
    this.#running = Promise.all([this.#keepComparing(), this.#keepReading()]);
  }

  /** How much of the queue is in it. */
  get progress(): z.infer<typeof indexSchema> {
    const jobs = this.#rows.size;
    const of = this.#isComplete ? jobs + this.#beyond : Math.max(this.#of, jobs);
    return { jobs, of, isComplete: this.#isComplete };
  }

  /** Grows with each change. */
  get version(): number {
    return this.#rows.version;
  }

  get(id: string): JobRow | null {
    return this.#rows.get(id)?.row ?? null;
  }

  list(query: JobQuery): { total: number; rows: JobRow[] } {
    return listJobs(this.#rows, query);
  }

  /** The ids of the jobs that meet the filter, the oldest first. */
  idsOf(filter: JobFilter): string[] {
    const meets = condition(filter);
    return this.#rows
      .inOrder('oldest')
      .filter(meets)
      .map(({ row }) => row.id);
  }

  errors(filter: JobFilter): ErrorGroup[] {
    return groupErrors(this.#rows, filter);
  }

  facets(): Facets {
    return facetsOf(this.#rows);
  }

  figures(hours: number, now: number): Figures {
    return figuresOf(this.#rows, hours, now);
  }

  /** How many jobs were cancelled, in the queue's list of failed ones and beside it. */
  cancelled(): { listed: number; detached: number } {
    const found = { listed: 0, detached: 0 };
    for (const { isDetached } of this.#rows.inState('cancelled'))
      found[isDetached ? 'detached' : 'listed'] += 1;
    return found;
  }

  /** What runs now. */
  active(): JobRow[] {
    return [...this.#rows.inState('active')].map(({ row }) => row);
  }

  /** Calls back with the jobs that changed. Returns what ends it. */
  onChange(heard: Heard): () => void {
    this.#listeners.add(heard);
    return () => this.#listeners.delete(heard);
  }

  async close(): Promise<void> {
    this.#over.abort();
    this.#wake();
    this.#options.redis.off('ready', this.#compareSoon);
    this.#listeners.clear();
    await this.#following.close();
    await this.#running;
  }

  readonly #compareSoon = (): void => {
    this.#mustCompare = true;
    this.#wake();
  };

  #hear(id: string, state: JobState | null): void {
    this.#changed.set(id, state ?? this.#changed.get(id) ?? null);
    if (state) this.#told?.set(id, state);
  }

  #takeProgress(id: string, progress: NonNullable<JobRecord['progress']>): void {
    const entry = this.#rows.get(id);
    if (entry?.row.state !== 'active') return;
    entry.row.progress = progress;
    this.#tolds += 1;
    entry.toldAt = this.#tolds;
    this.#tell([entry.row]);
  }

  /** Reads what was told to have changed. What cannot be read now is found by comparing. */
  async #keepReading(): Promise<void> {
    while (!this.#over.signal.aborted) {
      const ids = [...this.#changed].slice(0, pageSize);
      for (const [id] of ids) this.#changed.delete(id);
      if (ids.length > 0) await this.#read(ids).then((rows) => this.#tell(rows), this.#compareSoon);
      if (this.#changed.size === 0) await this.#pause(gatherMs);
    }
  }

  async #keepComparing(): Promise<void> {
    const { redis, connection, compareMs } = this.#options;
    while (!this.#over.signal.aborted) {
      try {
        await connected(redis, addressOf(connection));
        this.#mustCompare = false;
        await this.#compare();
      } catch {
        this.#mustCompare = false;
        await this.#pause(retryMs);
        continue;
      }
      if (!this.#mustCompare) await Promise.race([this.#pause(compareMs), this.#woken()]);
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  async #compare(): Promise<void> {
    const { redis, prefix, queue, limit } = this.#options;
    const told = new Map<string, JobState>();
    this.#told = told;
    const { states, total } = await readIds(redis, prefix, queue, limit);
    this.#of = total;
    this.#beyond = states.size < limit ? 0 : Math.max(0, total - states.size);
    const strange = [...states].filter(([id, state]) => !this.#stands(id, state));
    const lost = [...this.#rows.ids()].filter((id) => !states.has(id));
    const all: [string, JobState | null][] = [...strange, ...lost.map((id): [string, null] => [id, null])];
    for (let first = 0; first < all.length; first += pageSize) {
      if (this.#over.signal.aborted) return;
      const page = all.slice(first, first + pageSize);
      const rows = await this.#read(page.map(([id, state]) => [id, told.get(id) ?? state]));
      if (this.#isComplete) this.#tell(rows);
    }
    // Else next time; an access list may forbid it for good.
    this.#hasDetached ||= await this.#readDetached().catch(() => false);
    this.#isComplete = true;
    this.#told = null;
  }

  /** Of jobs that were cancelled before they began, and before this did, there are but documents. */
  async #readDetached(): Promise<boolean> {
    const { redis, prefix, queue } = this.#options;
    for await (const ids of readDetachedIds(redis, prefix, queue, (id) => this.#rows.get(id) !== undefined)) {
      if (this.#over.signal.aborted) break;
      await Promise.all(ids.map((id) => this.#detach(id)));
    }
    return true;
  }

  /** Whether it is known that a job is in this state. BullMQ keeps the cancelled ones among those that failed. */
  #stands(id: string, state: JobState): boolean {
    const entry = this.#rows.get(id);
    if (!entry || entry.isDetached) return false;
    return entry.row.state === state || (state === 'failed' && entry.row.state === 'cancelled');
  }

  /** @returns the rows of those that are there. */
  async #read(jobs: readonly (readonly [string, JobState | null])[]): Promise<JobRow[]> {
    const { redis, prefix, queue } = this.#options;
    const began = this.#tolds;
    const records = await readRecords(
      redis,
      jobs.map(([id, state]) => ({ key: queueKey(prefix, queue, id), isActive: state === 'active' })),
    );
    // At once, before anything else is waited for: what another reading finds later is newer.
    const entries = jobs.flatMap(([id, state], i) => {
      const record = records[i];
      return record ? [entryOf(id, record, state ?? stateOf(record, this.get(id)))] : [];
    });
    for (const entry of entries) this.#put(entry, began);
    const gone = jobs.filter((_, i) => !records[i]).map(([id]) => id);
    const left = await Promise.all(gone.map((id) => this.#detach(id)));
    return [...entries, ...left.filter((entry) => entry !== null)].map(({ row }) => row);
  }

  /** @param began how often it had been told how far a job is when this was begun to be read */
  #put(entry: Entry, began: number): void {
    const { row } = entry;
    const known = this.#rows.get(row.id);
    if (row.state === 'active' && known?.row.state === 'active' && known.toldAt > began) {
      // What was told meanwhile is newer than what was read.
      row.progress = known.row.progress;
      entry.toldAt = known.toldAt;
    }
    this.#rows.set(entry);
    if (this.#rows.size > this.#options.limit * 1.02) this.#rows.forgetOldest(this.#options.limit);
  }

  /** A job without a record that was cancelled before it began has a document alone. Any other is forgotten. */
  async #detach(id: string): Promise<Entry | null> {
    const known = this.#rows.get(id);
    const document = await readDocument(this.#documents, id);
    // It was asked again meanwhile, and read.
    if (this.#rows.get(id) !== known) return null;
    if (document?.status !== 'cancelled') {
      if (known) this.#rows.delete(id);
      return null;
    }
    const entry = detachedEntry(known ?? entryOfDocument(document), document);
    // Nothing to tell anybody of.
    if (known?.isDetached && known.row.finishedAt === entry.row.finishedAt) return null;
    this.#put(entry, this.#tolds);
    return entry;
  }

  #tell(rows: readonly JobRow[]): void {
    for (const heard of [...this.#listeners]) heard(rows);
  }

  #pause(ms: number): Promise<void> {
    return pause(ms, undefined, { signal: this.#over.signal, ref: false }).catch(() => {});
  }
}
