import { Queue } from 'bullmq';
import { type CancelOutcome, cancelJob } from './cancel.js';
import { Channels } from './channels.js';
import { checkJob } from './check-job.js';
import {
  addressOf,
  connected,
  explained,
  hastyClient,
  type RedisClient,
  type RedisConnection,
} from './connection.js';
import { Documents } from './documents.js';
import { JobEvents, type WaitOptions } from './events.js';
import { checkMemory, checkPrefix, readHealth } from './health.js';
import { makeJobId } from './job-id.js';
import { mayAdd } from './may-add.js';
import * as defaults from './options.js';
import { findOutcome, lookForOutcome } from './outcome.js';
import * as runs from './runs.js';
import type { AskJob, AskJobInput, ResultDocument } from './schemas.js';
import { readSight, type Sight } from './sight.js';
import { type QueueStatus, readStatus } from './status.js';
import { type StreamOptions, streamJob } from './stream.js';
import { readText, sayListening } from './text.js';
import { type StreamEvent, Transcript } from './transcript.js';
import { listWorkers } from './workers.js';

export type { CancelOutcome, QueueStatus };

export interface QueueClientOptions {
  readonly connection: RedisConnection;
  /** Key prefix in Redis; default `visionzip`. */
  readonly prefix?: string;
  /** Name of the queue; default `ask`. */
  readonly queue?: string;
  /** How often a job is tried before it fails for good; default 3. */
  readonly attempts?: number;
  /** First pause before another attempt, in milliseconds, then doubled; default 1,000. */
  readonly backoffMs?: number;
  /** How long the documents are kept that this client writes, in seconds; default 7 days. */
  readonly retentionSeconds?: number;
}

export interface AskAndWaitOptions extends WaitOptions {
  /** An id of the caller's own: see `ask`. */
  readonly id?: string;
  /** Called where no worker listens to the queue. */
  onNoWorker?(queue: string): void;
}

function warnOfNoWorker(queue: string): void {
  process.emitWarning(`no worker listens to the queue "${queue}"; start one: visionzip worker`);
}

/** How many jobs are enqueued at once. */
const bulkJobs = 1_000;

/** How old a reading of the server's memory may be when a job is added, in milliseconds. */
const healthAgeMs = 1_000;

/**
 * Puts questions about videos into the queue, waits for their answers, and cancels them. Every call fails
 * within seconds, with one sentence that names the address, where Redis does not answer.
 */
export class QueueClient {
  readonly #address: string;
  readonly #options: Required<QueueClientOptions>;
  readonly #keys: defaults.Keys;
  readonly #redis: RedisClient;
  readonly #documents: Documents;
  readonly #closed = new AbortController();
  #queue: Queue<AskJob> | undefined;
  #events: Promise<JobEvents> | undefined;
  #channels: Channels | undefined;
  #healthReadAt = Number.NEGATIVE_INFINITY;

  constructor(options: QueueClientOptions) {
    this.#options = {
      connection: options.connection,
      prefix: options.prefix ?? defaults.defaultPrefix,
      queue: options.queue ?? defaults.defaultQueue,
      attempts: options.attempts ?? defaults.defaultAttempts,
      backoffMs: options.backoffMs ?? defaults.defaultBackoffMs,
      retentionSeconds: options.retentionSeconds ?? defaults.defaultRetentionSeconds,
    };
    this.#address = addressOf(options.connection);
    this.#keys = defaults.keysOf(this.#options.prefix, this.#options.queue);
    this.#redis = hastyClient(options.connection);
    this.#documents = new Documents(this.#redis, this.#keys, this.#options.retentionSeconds);
  }

  /**
   * Enqueues a job and returns its id. With an id of the caller's own it is enqueued once, however often this
   * is called; one that failed or was cancelled is asked again.
   *
   * @throws JobRefusedError for a job or an id that breaks the schema; JobConflictError for an id that stands for another
   *   job; RedisUnavailableError
   */
  async ask(input: AskJobInput, options: { readonly id?: string } = {}): Promise<string> {
    const job = checkJob(input, 'the job');
    if (options.id !== undefined) defaults.checkJobId(options.id);
    return this.#talk(async (queue) => {
      await this.#checkHealth();
      if (options.id === undefined) return this.#add(queue, makeJobId(), job);
      const parts = { queue, redis: this.#redis, keys: this.#keys, documents: this.#documents };
      return (await mayAdd(parts, options.id, job)) ? this.#add(queue, options.id, job) : options.id;
    });
  }

  /**
   * Enqueues jobs, many at a time, and returns their ids in the same order. Where one of them breaks the schema, none is enqueued;
   * where Redis goes away in between, those before were.
   *
   * @throws JobRefusedError that names the job by its place, from 0; RedisUnavailableError
   */
  async askMany(inputs: readonly AskJobInput[]): Promise<string[]> {
    const jobs = inputs.map((input, i) => checkJob(input, `the job at ${i}`));
    const ids = jobs.map(() => makeJobId());
    for (let first = 0; first < jobs.length; first += bulkJobs) {
      const bulk = jobs.slice(first, first + bulkJobs).map((data, i) => {
        const opts = this.#jobOptions(ids[first + i]!, data);
        return { name: defaults.jobName, data, opts };
      });
      await this.#talk(async (queue) => {
        await this.#checkHealth();
        await queue.addBulk(bulk);
      });
    }
    return ids;
  }

  /**
   * Resolves with the document of a job once it has completed, failed or was cancelled.
   *
   * @throws UnknownJobError; a DOMException named `TimeoutError`; the signal's reason;
   *   RedisUnavailableError where Redis does not answer at the start
   */
  async wait(id: string, options: WaitOptions = {}): Promise<ResultDocument> {
    // Of a job that has ended no events are wanted. Where they are there already, they look themselves.
    const early = this.#events ? null : await this.result(id);
    if (early) return early;
    const events = await this.#talk(() => this.#openEvents());
    const look = () => this.#talk((queue) => lookForOutcome(queue, this.#documents, id));
    const signals = [this.#closed.signal, ...(options.signal ? [options.signal] : [])];
    return events.until(id, look, { ...options, signal: AbortSignal.any(signals) });
  }

  /**
   * Enqueues a job and resolves with its document once it has completed, failed or was cancelled: look at its `status`,
   * and at the `fault` of one that failed.
   *
   *     const document = await client.askAndWait({ video: '/videos/clip.mp4', questions: ['What moves?'] });
   *     if (document.status === 'completed') console.log(document.answers[0].answer);
   *     else if (document.fault === 'video') console.error(`not this video: ${document.error}`);
   *
   * Where no worker listens at the start, `onNoWorker` is called; by default the process warns of it. The job waits.
   *
   * @throws as `ask` and `wait`.
   */
  async askAndWait(
    input: AskJobInput,
    { id, onNoWorker = warnOfNoWorker, ...options }: AskAndWaitOptions = {},
  ): Promise<ResultDocument> {
    const own = await this.ask(input, { id });
    const workers = await this.#talk((queue) => listWorkers(queue, this.#redis, this.#keys));
    if (workers?.length === 0) onNoWorker(this.#options.queue);
    return this.wait(own, options);
  }

  /**
   * The answers of a job as they are generated, and at last its document:
   *
   *     for await (const event of client.stream(id)) {
   *       if (event.type === 'text') process.stdout.write(event.text);
   *     }
   *
   * Who comes late hears what was said so far, and of a job that has ended all of it at once. A job that is tried again begins
   * its text anew, after a `restart`. A break of the connection is waited out.
   *
   * @throws as `wait`.
   */
  async *stream(id: string, options: StreamOptions = {}): AsyncGenerator<StreamEvent, void> {
    const early = await this.result(id);
    if (early) return yield* new Transcript().end(early);
    const left = new AbortController();
    const signals = [left.signal, ...(options.signal ? [options.signal] : [])];
    const ended = this.wait(id, { ...options, signal: AbortSignal.any(signals) });
    this.#channels ??= new Channels(this.#options.connection);
    try {
      yield* streamJob({
        ...{ id, keys: this.#keys, channels: this.#channels, ended },
        sayListening: () => this.#talk(() => sayListening(this.#redis, this.#keys, id)),
        read: (from) => this.#talk(() => readText(this.#redis, this.#keys, id, from)),
      });
    } finally {
      left.abort();
    }
  }

  /** The document of a finished job; null while it is waiting or running, and for an unknown id. */
  async result(id: string): Promise<ResultDocument | null> {
    return this.#talk(async (queue) => (await findOutcome(queue, this.#documents, id)).document);
  }

  /** What the model saw, by the name in a document's `sight`; null where it is not kept any more, or cannot be read. */
  async sight(name: string): Promise<Sight | null> {
    return this.#talk(() => readSight(this.#redis, this.#keys, name));
  }

  /**
   * Stops a job. One that waits is removed; one that runs is asked to stop, and its document tells how it ended.
   */
  async cancel(id: string): Promise<CancelOutcome> {
    const { retentionSeconds } = this.#options;
    const parts = { redis: this.#redis, keys: this.#keys, documents: this.#documents, retentionSeconds };
    return this.#talk((queue) => cancelJob({ queue, ...parts }, id));
  }

  async status(): Promise<QueueStatus> {
    const { prefix } = this.#options;
    const parts = { redis: this.#redis, keys: this.#keys, prefix };
    return this.#talk(async (queue) => ({
      address: this.#address,
      ...(await readStatus({ queue, ...parts })),
    }));
  }

  /** The runs of datasets that were heard of last, the latest first, up to 100. */
  async runs(): Promise<runs.RunRecord[]> {
    return this.#talk(() => runs.listRuns(this.#redis, this.#keys));
  }

  /** What a run says of itself; null where it is not kept, or cannot be read. */
  async run(id: string): Promise<runs.RunRecord | null> {
    return this.#talk(() => runs.readRun(this.#redis, this.#keys, id));
  }

  /** Asks a run to pause, to drain or to stop; with null to go on. */
  async controlRun(id: string, what: runs.RunControl | null): Promise<runs.RunControlOutcome> {
    const { retentionSeconds } = this.#options;
    return this.#talk(() => runs.controlRun(this.#redis, this.#keys, id, what, retentionSeconds));
  }

  /** Keeps what a run says of itself, for those who watch, and returns what it is asked to do. */
  async reportRun(record: runs.RunRecord): Promise<runs.RunControl | null> {
    return this.#talk(async () => {
      await runs.writeRun(this.#redis, this.#keys, record, this.#options.retentionSeconds);
      return runs.readControl(this.#redis, this.#keys, record.id);
    });
  }

  /** Ends the connections; whoever still waits gets an error. */
  async close(): Promise<void> {
    this.#closed.abort(new Error('the queue client was closed'));
    this.#channels?.close();
    await (await this.#events?.catch(() => undefined))?.close();
    await this.#queue?.close();
    this.#redis.disconnect();
  }

  async #add(queue: Queue<AskJob>, id: string, job: AskJob): Promise<string> {
    await queue.add(defaults.jobName, job, this.#jobOptions(id, job));
    return id;
  }

  #jobOptions(id: string, { priority }: AskJob) {
    const { attempts, backoffMs } = this.#options;
    return defaults.jobOptions(id, attempts, backoffMs, priority);
  }

  #openEvents(): Promise<JobEvents> {
    const { connection, prefix, queue } = this.#options;
    this.#events ??= JobEvents.open(this.#redis, connection, prefix, queue);
    this.#events.catch(() => {
      this.#events = undefined;
    });
    return this.#events;
  }

  async #checkHealth(): Promise<void> {
    if (Date.now() - this.#healthReadAt < healthAgeMs) return;
    const health = await readHealth(this.#redis, this.#options.prefix);
    checkPrefix(health, this.#options.prefix, this.#address);
    checkMemory(health, this.#address);
    this.#healthReadAt = Date.now();
  }

  /** Runs commands on a connected client; a break or a full server becomes a sentence with the address. */
  async #talk<T>(say: (queue: Queue<AskJob>) => Promise<T>): Promise<T> {
    try {
      await connected(this.#redis, this.#address);
      this.#queue ??= this.#openQueue();
      return await say(this.#queue);
    } catch (error) {
      this.#closed.signal.throwIfAborted();
      throw explained(this.#address, error);
    }
  }

  #openQueue(): Queue<AskJob> {
    const { prefix, queue: name } = this.#options;
    const queue = new Queue<AskJob>(name, { connection: this.#redis, prefix });
    queue.on('error', () => {}); // Told to the caller whose command fails.
    return queue;
  }
}
