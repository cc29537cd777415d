import { type Job, UnrecoverableError, WaitingError } from 'bullmq';
import type { Logger } from 'pino';
import type { Attempt } from '../../queues/attempts.js';
import type { RedisClient } from '../../queues/connection.js';
import { type Documents, failedReasonOf, UnreadableDocumentError } from '../../queues/documents.js';
import { describeFaults, faultOfJob } from '../../queues/faults.js';
import { cancelledReason, type Keys } from '../../queues/options.js';
import { type AskJob, askJobSchema, type Result, type ResultDocument } from '../../queues/schemas.js';
import { type JobSummary, summarize } from '../../queues/summary.js';
import { InputError } from '../errors.js';
import type { Settings } from '../settings.js';
import { resolveBelow } from '../sources/below.js';
import type { Answerer } from './answerer.js';
import { Speaking } from './speaking.js';
import { Telling } from './telling.js';

/** How much of a reason goes into BullMQ's log of a job, in characters. */
const maxReason = 1_000;

/** Why an attempt is stopped from outside. */
export class Stop extends Error {
  override readonly name = 'Stop';
  constructor(
    readonly why: 'cancelled' | 'deadline' | 'shutdown',
    message: string,
  ) {
    super(message);
  }
}

export interface ProcessorParts {
  readonly settings: Pick<Settings, 'videoDirs' | 'deadlineMs'>;
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly documents: Documents;
  readonly answerer: Answerer;
  readonly logger: Logger;
  /** Told of each job that was answered here. */
  readonly onAnswered?: (result: Result) => void;
  /** Name of the worker. */
  readonly worker: string;
}

/**
 * What a worker does with a job: one attempt. It decides what is retried: a fault of the input, a cancelled
 * job and a missed deadline are not; a worker that shuts down puts the job back; anything else is.
 */
export class Processor {
  readonly #parts: ProcessorParts;
  readonly #running = new Map<string, AbortController>();

  constructor(parts: ProcessorParts) {
    this.#parts = parts;
  }

  /** Stops the attempt at a job, if one runs here. */
  stop(id: string, stop: Stop): void {
    this.#running.get(id)?.abort(stop);
  }

  stopAll(stop: Stop): void {
    for (const controller of this.#running.values()) controller.abort(stop);
  }

  /** Stops what was cancelled while this worker could not hear it. */
  async stopCancelled(): Promise<void> {
    for (const id of this.#running.keys()) {
      if (await this.#isCancelled(id)) this.stop(id, cancelled());
    }
  }

  readonly process = async (job: Job<unknown, JobSummary>, token?: string): Promise<JobSummary> => {
    const id = job.id!;
    const startedAt = new Date();
    const deadlineMs = deadlineOf(job, this.#parts.settings);
    const controller = new AbortController();
    this.#running.set(id, controller);
    const late = new Stop('deadline', `the job was stopped at its deadline of ${deadlineMs} ms`);
    const timer = setTimeout(() => controller.abort(late), deadlineMs);
    try {
      return summaryOf(await this.#documentOf(job, id, controller.signal));
    } catch (error) {
      // What was stopped may say so in words of its own: an AbortError of the file that it read.
      const { aborted, reason } = controller.signal;
      throw await this.#verdict(aborted ? reason : error, job, startedAt, token);
    } finally {
      clearTimeout(timer);
      this.#running.delete(id);
    }
  };

  /** The document that stands for the job: from an earlier attempt that was killed in between, or a new one. */
  async #documentOf(job: Job<unknown>, id: string, signal: AbortSignal): Promise<ResultDocument> {
    const { documents } = this.#parts;
    const logger = this.#loggerOf(job);
    const read = documents.read(id).catch((error: unknown) => {
      if (!(error instanceof UnreadableDocumentError)) throw error;
      logger.warn({ reason: error.message }, 'the job is answered anew, which replaces its document');
      return null;
    });
    const [standing, { isCancelled, isListened }] = await Promise.all([read, this.#wishesOf(id)]);
    if (standing && !isOutlived(standing, job)) return standing;
    if (standing) await documents.dropFailure(id);
    if (isCancelled) throw cancelled();
    const result = await this.#answer(job, id, { signal, isListened });
    const { cached, answers, timings, tokens, frames, model } = result;
    logger.info(
      { cached, questions: answers.length, frames: frames.length, tokens, model: model.name, timings },
      'job answered',
    );
    this.#parts.onAnswered?.(result);
    return documents.writeOnce(result);
  }

  async #answer(
    job: Job<unknown>,
    id: string,
    { signal, isListened }: { readonly signal: AbortSignal; readonly isListened: boolean },
  ): Promise<Result> {
    const queueMs = Math.max(0, Date.now() - job.timestamp);
    const parsed = askJobSchema.safeParse(job.data);
    if (!parsed.success) {
      const message = `the job was refused: ${describeFaults(parsed.error)}`;
      throw new InputError(message, { fault: faultOfJob(parsed.error) });
    }
    const data: AskJob = parsed.data;
    const path = await resolveBelow(data.video, this.#parts.settings.videoDirs);
    const telling = new Telling((progress) => job.updateProgress({ ...progress }));
    const speaking = new Speaking(this.#parts.redis, this.#parts.keys, id, job.attemptsStarted, isListened);
    try {
      const { worker } = this.#parts;
      const logger = this.#loggerOf(job);
      const attempt = job.attemptsStarted;
      const ask = { id, job: data, path, queueMs, worker, attempt };
      const listeners = { ...telling.listeners, ...speaking.listeners };
      return await this.#parts.answerer.answer(ask, { signal, logger, ...listeners });
    } finally {
      await Promise.all([telling.end(), speaking.end()]);
    }
  }

  /** The error that BullMQ shall see. */
  async #verdict(error: unknown, job: Job, startedAt: Date, token?: string): Promise<unknown> {
    const reason = error instanceof Error ? error.message : String(error);
    this.#loggerOf(job).warn({ reason }, 'attempt failed');
    await this.#note(job, { startedAt, reason, kind: kindOf(error) });
    if (error instanceof InputError) {
      return new UnrecoverableError(failedReasonOf(error.fault, error.message));
    }
    if (!(error instanceof Stop)) return error;
    if (error.why !== 'shutdown') return new UnrecoverableError(error.message);
    await job.moveToWait(token); // Another worker takes it at once, and no attempt is used up.
    return new WaitingError();
  }

  /** Leaves a line in BullMQ's log of the job: before another worker can take it. What cannot be written is no fault of the job. */
  async #note(
    job: Job,
    ended: { readonly startedAt: Date } & Pick<Attempt, 'reason' | 'kind'>,
  ): Promise<void> {
    const { worker } = this.#parts;
    const line: Attempt = {
      ...{ attempt: job.attemptsStarted, worker, kind: ended.kind },
      ...{ startedAt: ended.startedAt.toISOString(), endedAt: new Date().toISOString() },
      reason: ended.reason.slice(0, maxReason),
    };
    await job.log(JSON.stringify(line)).catch(() => {});
  }

  /** Whose lines name the job and the attempt. */
  #loggerOf(job: Job<unknown>): Logger {
    return this.#parts.logger.child({ job: job.id, attempt: job.attemptsStarted });
  }

  /** What somebody wishes of a job before it begins. */
  async #wishesOf(id: string): Promise<{ readonly isCancelled: boolean; readonly isListened: boolean }> {
    const { redis, keys } = this.#parts;
    const [cancel, listening] = await redis.mget(keys.cancel(id), keys.listening(id));
    return { isCancelled: cancel !== null, isListened: listening !== null };
  }

  async #isCancelled(id: string): Promise<boolean> {
    return (await this.#parts.redis.exists(this.#parts.keys.cancel(id))) === 1;
  }
}

/** A job may allow itself less time than the worker does. */
function deadlineOf({ data }: Job<unknown>, { deadlineMs }: Pick<Settings, 'deadlineMs'>): number {
  const asked = (data as { readonly deadlineMs?: unknown } | null)?.deadlineMs;
  const own = askJobSchema.shape.deadlineMs.safeParse(asked).data;
  return Math.min(deadlineMs, own ?? deadlineMs);
}

function kindOf(error: unknown): Attempt['kind'] {
  if (error instanceof Stop) return error.why;
  return error instanceof InputError ? error.fault : 'internal';
}

export function cancelled(): Stop {
  return new Stop('cancelled', cancelledReason);
}

/** Whether it is the failure of a job that was asked again since: its worker may write it late. */
function isOutlived(document: ResultDocument, { timestamp }: Job<unknown>): boolean {
  return document.status !== 'completed' && Date.parse(document.finishedAt) < timestamp;
}

/** @throws UnrecoverableError for a job that had ended otherwise before. */
function summaryOf(document: ResultDocument): JobSummary {
  if (document.status !== 'completed') {
    throw new UnrecoverableError(failedReasonOf(document.fault ?? 'internal', document.error));
  }
  return summarize(document);
}
