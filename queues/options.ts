import type { JobsOptions } from 'bullmq';
import { JobRefusedError } from './errors.js';

/** Key prefix of everything that lies in Redis. */
export const defaultPrefix = 'visionzip';
/** Name of the queue. */
export const defaultQueue = 'ask';
/** How often a job is tried before it fails for good. */
export const defaultAttempts = 3;
/** First pause before another attempt, in milliseconds; it doubles from attempt to attempt. */
export const defaultBackoffMs = 1_000;
/** How long results, stored answers and job records are kept: 7 days. */
export const defaultRetentionSeconds = 7 * 24 * 3600;
/** Largest job in bytes: paths and questions, never pixels. */
export const jobSizeLimitBytes = 1024 * 1024;
/** BullMQ's name of our one kind of job. */
export const jobName = 'ask';
/** Why a job failed that a user cancelled; its document says `cancelled` by this reason. */
export const cancelledReason = 'cancelled by request';

/** BullMQ's own keys under `<prefix>:<queue>:`, and ours: a job of that name would overwrite them. */
const reservedIds = new Set([
  ...['active', 'wait', 'waiting-children', 'paused', 'id', 'delayed', 'prioritized', 'stalled-check'],
  ...['completed', 'failed', 'stalled', 'repeat', 'limiter', 'meta', 'events', 'pc', 'marker', 'de'],
  ...['result', 'cancel', 'text', 'listening', 'worker', 'run', 'runs', 'run-control'],
]);

/**
 * Checks a job id that a caller chose: 1 to 128 letters, digits, ". _ @ -", not a number (BullMQ keeps those
 * for itself) and not the name of a key of the queue.
 *
 * @throws JobRefusedError
 */
export function checkJobId(id: string): void {
  const rule = 'a job id is 1 to 128 letters, digits, ". _ @ -" and not a number, nor "." or ".."';
  // In an address the last two are no names but folders.
  if (!/^[A-Za-z0-9._@-]{1,128}$/.test(id) || /^(-?\d+|\.\.?)$/.test(id)) {
    throw new JobRefusedError(`${rule}; got ${JSON.stringify(id)}`, 'settings');
  }
  if (reservedIds.has(id)) {
    throw new JobRefusedError(`the job id ${JSON.stringify(id)} is reserved by the queue`, 'settings');
  }
}

/** The options that go with a job into the queue. */
export function jobOptions(
  jobId: string,
  attempts: number,
  backoffMs: number,
  priority?: number,
): JobsOptions {
  return {
    ...(priority !== undefined && { priority }),
    jobId,
    attempts,
    backoff: { type: 'exponential', delay: backoffMs },
    sizeLimit: jobSizeLimitBytes,
    stackTraceLimit: 3,
  };
}

/** Where things lie in Redis besides BullMQ's own keys. */
export interface Keys {
  /** The document of a finished job. */
  result(id: string): string;
  /** Set while a job is asked to stop. */
  cancel(id: string): string;
  /** The text of a job under way, and the channel on which it is published. */
  text(id: string): string;
  /** Set while somebody listens to that. */
  listening(id: string): string;
  /** The stored answer to one question about one video, by its content key. */
  answer(contentKey: string): string;
  /** What was seen of a video, by the name of its encoding; the names by when they expire, and their sizes in bytes. */
  sight(name: string): string;
  readonly sightIndex: string;
  readonly sightSizes: string;
  /** What is known of an encoded video, by the name of its file in the store. */
  video(name: string): string;
  /** Their names, by when each was used last. */
  readonly videos: string;
  /** How often what was asked for was there already: see `countsSchema`. */
  readonly counts: string;
  /** What a worker says of itself, by its name. */
  worker(name: string): string;
  /** What a run says of itself, and what it is asked to do. */
  run(id: string): string;
  runControl(id: string): string;
  /** Ids of runs, sorted by when they were heard of last, in milliseconds. */
  readonly runs: string;
  /** Channel on which job ids are published that shall stop. */
  readonly cancelChannel: string;
}

export function keysOf(prefix: string, queue: string): Keys {
  return {
    result: (id) => `${prefix}:${queue}:result:${id}`,
    cancel: (id) => `${prefix}:${queue}:cancel:${id}`,
    text: (id) => `${prefix}:${queue}:text:${id}`,
    listening: (id) => `${prefix}:${queue}:listening:${id}`,
    answer: (contentKey) => `${prefix}:answer:${contentKey}`,
    sight: (name) => `${prefix}:sight:${name}`,
    sightIndex: `${prefix}:sight:index`,
    sightSizes: `${prefix}:sight:sizes`,
    video: (name) => `${prefix}:video:${name}`,
    videos: `${prefix}:videos`,
    counts: `${prefix}:counts`,
    worker: (name) => `${prefix}:${queue}:worker:${name}`,
    run: (id) => `${prefix}:${queue}:run:${id}`,
    runControl: (id) => `${prefix}:${queue}:run-control:${id}`,
    runs: `${prefix}:${queue}:runs`,
    cancelChannel: `${prefix}:${queue}:cancel`,
  };
}
