import { setTimeout as pause } from 'node:timers/promises';
import { type Job, Worker } from 'bullmq';
import { type Logger, pino } from 'pino';
import { Clients } from '../../queues/clients.js';
import { addressOf, hastyClient, type RedisClient, type RedisConnection } from '../../queues/connection.js';
import { Documents, failureDocument } from '../../queues/documents.js';
import { type Keys, keysOf } from '../../queues/options.js';
import type { JobSummary } from '../../queues/summary.js';
import { decoderSandbox, useDecoder } from '../media/ffmpeg.js';
import type { Settings } from '../settings.js';
import { FileDigests } from '../sources/digest.js';
import { Answerer } from './answerer.js';
import { Catalog } from './catalog.js';
import { WorkerMetrics } from './metrics.js';
import { type MetricsServer, serveMetrics } from './metrics-server.js';
import { Presence } from './presence.js';
import { cancelled, Processor, Stop } from './processor.js';
import { checkRedis, ensureRedis } from './redis.js';
import { SightStore } from './sight-store.js';
import { AnswerStore } from './store.js';
import { VideoRecords } from './video-records.js';
import { countWaiting } from './waiting.js';
import { workerName, workerOptions } from './worker-options.js';

export interface WorkerOptions {
  /** The compiled file that a model process runs; default the real one. */
  readonly modelEntry?: string;
}

/** How often trouble of the same kind is logged, in milliseconds. */
const tellAgainMs = 60_000;
/** How often jobs in hand are looked up in a cluster, in milliseconds: they may have been cancelled. */
const lookupMs = 1_000;
/** How long saying good-bye to Redis may take once no job is in hand, in milliseconds. */
const farewellMs = 2_000;

/**
 * Starts a worker. It survives breaks of Redis from then on.
 *
 * @throws RedisUnavailableError where Redis cannot be reached or is not fit for a queue.
 */
export async function startWorker(
  settings: Settings,
  logger: Logger,
  options: WorkerOptions = {},
): Promise<AskWorker> {
  useDecoder(settings.decoder);
  const { connection, address } = await ensureRedis(settings);
  await checkRedis(connection, settings.prefix);
  const worker = new AskWorker(settings, logger, connection, options);
  await worker.start().catch((error) => worker.close().then(() => Promise.reject(error)));
  const { queue, concurrency, threads, videoDirs } = settings;
  logger.info({ address, queue, concurrency, threads, videoDirs }, 'worker started');
  return worker;
}

/**
 * Runs a worker until SIGTERM or SIGINT, and lets it finish its jobs within the drain limit. A second signal
 * ends this process at once: the jobs in hand are taken up by other workers.
 */
export async function runWorker(settings: Settings, options: WorkerOptions = {}): Promise<void> {
  const logger = pino(
    { name: 'visionzip-worker', level: settings.logLevel },
    pino.destination({ fd: 2, sync: true }),
  );
  const worker = await startWorker(settings, logger, options);
  let signals = 0;
  await new Promise<void>((resolve, reject) => {
    const onSignal = (signal: string) => {
      signals += 1;
      if (signals === 1) {
        logger.info({ signal, drainMs: settings.drainMs }, 'stopping: running jobs may finish');
        worker.close().then(resolve, reject);
      } else {
        logger.warn({ signal }, 'stopping at once');
        void worker.kill().then(() => process.exit(1));
      }
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
  // A client of a cluster that has gone may go on trying, whatever it is told.
  setTimeout(() => process.exit(), farewellMs).unref();
}

/**
 * BullMQ on one side, model processes on the other. Nothing heavy runs in this process, so that the locks of
 * its jobs are renewed in time.
 */
export class AskWorker {
  readonly #settings: Settings;
  readonly #logger: Logger;
  readonly #keys: Keys;
  readonly #clients: Clients;
  readonly #redis: RedisClient;
  /** For what is not worth waiting for. */
  readonly #hasty: RedisClient;
  readonly #documents: Documents;
  readonly #answerer: Answerer;
  readonly #records: VideoRecords;
  readonly #processor: Processor;
  readonly #worker: Worker<unknown, JobSummary>;
  readonly #presence: Presence;
  readonly #metrics: WorkerMetrics | null;
  #metricsServer: MetricsServer | null = null;
  /** Attempts at jobs. */
  readonly #inHand = new Set<Promise<JobSummary>>();
  /** Documents on their way to Redis. */
  readonly #writing = new Set<Promise<void>>();
  /** When trouble of a kind was last told. */
  readonly #told = new Map<string, number>();
  /** Aborted when nothing of this worker shall go on. */
  readonly #over = new AbortController();
  #closing: Promise<void> | null = null;

  constructor(
    settings: Settings,
    logger: Logger,
    connection: RedisConnection,
    { modelEntry }: WorkerOptions,
  ) {
    const keys = keysOf(settings.prefix, settings.queue);
    const clients = new Clients(connection, this.#tell);
    const redis = clients.open();
    const hasty = hastyClient(connection);
    const documents = new Documents(redis, keys, settings.retentionSeconds);
    const store = new AnswerStore(redis, keys, settings.retentionSeconds);
    const catalog = new Catalog(settings.modelDirs);
    const sights = new SightStore({
      redis: hasty,
      address: addressOf(connection),
      keys,
      settings: settings.sights,
    });
    const { retentionSeconds, tokenStore } = settings;
    const records = new VideoRecords(redis, keys, {
      ...{ retentionSeconds, worker: workerName, onError: this.#tell },
      dir: tokenStore.limitBytes > 0 ? tokenStore.dir : null,
    });
    const digests = new FileDigests();
    const answerer = new Answerer({ settings, catalog, digests, store, sights, records, modelEntry });
    this.#settings = settings;
    this.#logger = logger;
    this.#keys = keys;
    this.#clients = clients;
    this.#redis = redis;
    this.#hasty = hasty;
    this.#documents = documents;
    this.#answerer = answerer;
    const waiting = () => countWaiting(hasty, addressOf(connection), settings);
    this.#metrics =
      settings.metrics.port === null ? null : new WorkerMetrics(() => this.#inHand.size, waiting);
    const onAnswered = this.#metrics?.countAnswered;
    this.#records = records;
    this.#processor = new Processor({
      ...{ settings, redis, keys, documents, answerer, logger, onAnswered },
      worker: workerName,
    });
    this.#worker = new Worker<unknown, JobSummary>(settings.queue, this.#attempt, {
      connection: redis,
      ...workerOptions(settings),
    });
    this.#metrics?.follow(this.#worker);
    this.#presence = new Presence(redis, keys.worker(workerName));
    this.#worker.on('error', this.#tell);
    redis.on('error', this.#tell).on('ready', () => {
      if (this.#told.delete('connect')) logger.info('Redis answers again');
    });
  }

  /** Where its metrics are; null where it tells none. */
  get metricsUrl(): string | null {
    return this.#metricsServer?.url ?? null;
  }

  /**
   * Begins to take jobs, once it can hear that one is cancelled.
   *
   * @throws InputError where it cannot listen for whoever asks for its metrics.
   */
  async start(): Promise<void> {
    await this.#serveMetrics();
    if (this.#redis.isCluster) this.#lookUpCancelled();
    else await this.#subscribe();
    this.#worker.on('failed', (job) => job && this.#keepFailure(job));
    this.#worker.on('stalled', (id) => {
      this.#logger.warn({ job: id }, 'the worker of this job died; it runs again');
    });
    this.#worker.run().catch(this.#tell);
    this.#tellOfSandbox().catch(this.#tell);
  }

  /**
   * Takes no more jobs, lets those in hand finish within the drain limit, and puts the rest back into the queue.
   * Resolves within that limit, the grace of a model process and some seconds, also without Redis.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Kills the model processes at once. Their jobs are taken up by others once the locks run out. */
  async kill(): Promise<void> {
    await this.#answerer.close();
  }

  async #serveMetrics(): Promise<void> {
    const { host, port } = this.#settings.metrics;
    if (port === null || !this.#metrics) return;
    const { registry } = this.#metrics;
    this.#metricsServer = await serveMetrics({ host, port }, { registry, faultNow: this.#faultNow });
    this.#logger.info({ url: this.#metricsServer.url }, 'metrics are served');
  }

  readonly #faultNow = (): string | null => {
    if (this.#closing !== null) return 'the worker is shutting down';
    if (this.#redis.status !== 'ready') return 'Redis does not answer';
    return this.#worker.isRunning() ? null : 'the worker has not begun to take jobs';
  };

  async #close(): Promise<void> {
    const { drainMs, abortGraceMs } = this.#settings;
    const stop = new Stop('shutdown', 'the worker is shutting down');
    const limit = setTimeout(() => this.#processor.stopAll(stop), drainMs);
    const closed = this.#worker.close().then(() => Promise.all([this.#records.idle(), ...this.#writing]));
    await within(drainMs + abortGraceMs + farewellMs, this.#drained());
    clearTimeout(limit);
    if (this.#redis.status === 'ready') await within(farewellMs, Promise.all([closed, this.#presence.end()]));
    this.#over.abort();
    this.#clients.end();
    this.#hasty.disconnect();
    await this.#answerer.close();
    await within(farewellMs, closed); // Nothing can wait for Redis any more.
    this.#metricsServer?.close();
    this.#logger.info('worker stopped');
  }

  readonly #attempt = (job: Job<unknown, JobSummary>, token?: string): Promise<JobSummary> => {
    const attempt = this.#processor.process(job, token);
    this.#inHand.add(attempt);
    const over = () => this.#inHand.delete(attempt);
    attempt.then(over, over);
    return attempt;
  };

  async #tellOfSandbox(): Promise<void> {
    const { concurrency } = this.#settings;
    const sandbox = await decoderSandbox().catch((error: Error) => {
      this.#logger.warn({ reason: error.message }, 'no video can be decoded');
      return null;
    });
    if (sandbox !== null) this.#logger.info({ sandbox }, 'decoders run in a sandbox');
    if (this.#closing === null) this.#presence.start({ sandbox, concurrency });
  }

  async #drained(): Promise<void> {
    while (this.#inHand.size > 0) await Promise.allSettled(this.#inHand);
  }

  /** After a break what was cancelled meanwhile is looked up, once nothing can be missed any more. */
  async #subscribe(): Promise<void> {
    const subscriber = this.#clients.open();
    const { cancelChannel } = this.#keys;
    subscriber.on('error', this.#tell);
    subscriber.on('message', (_channel, id) => this.#processor.stop(id, cancelled()));
    await subscriber.subscribe(cancelChannel);
    const resubscribe = () => subscriber.subscribe(cancelChannel).then(() => this.#processor.stopCancelled());
    subscriber.on('ready', () => resubscribe().catch(this.#tell));
  }

  /** In a cluster messages are lost with a node, and ioredis does not tell: cancelled jobs are looked up instead. */
  async #lookUpCancelled(): Promise<void> {
    const { signal } = this.#over;
    while (!signal.aborted) {
      await pause(lookupMs, null, { signal, ref: false }).catch(() => {});
      await this.#processor.stopCancelled().catch(this.#tell);
    }
  }

  /** The document of a job that failed for good outlives BullMQ's record of it. */
  #keepFailure(job: Job): void {
    if (!job.id || !job.finishedOn) return; // It will be tried again.
    const document = failureDocument(job.id, job.failedReason, {
      finishedOn: job.finishedOn,
      attempts: job.attemptsStarted,
      worker: workerName,
      data: job.data,
    });
    const written = this.#documents
      .writeOnce(document)
      .then(() => {}, this.#tell)
      .finally(() => this.#writing.delete(written));
    this.#writing.add(written);
  }

  /** Trouble of one kind is told once a minute, not with each attempt to write or to connect. */
  readonly #tell = (error: Error): void => {
    const [kind = ''] = error.message.split(' ', 1);
    if (Date.now() - (this.#told.get(kind) ?? 0) < tellAgainMs) return;
    this.#told.set(kind, Date.now());
    this.#logger.warn({ reason: error.message }, 'trouble with Redis');
  };
}

/** Waits for the work, but no longer than so many milliseconds. */
async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController();
  const late = pause(ms, null, { signal: over.signal }).catch(() => {});
  await Promise.race([work, late]).finally(() => over.abort());
}
