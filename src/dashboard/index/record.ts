import type { RedisClient } from '../../../queues/connection.js';
import { type JobProgress, progressSchema } from '../../../queues/schemas.js';
import { tolerant } from '../../../queues/tolerant.js';

/** What matters of the hash in which BullMQ keeps a job. */
export interface JobRecord {
  readonly data: string | null;
  readonly timestamp: number;
  readonly priority: number;
  readonly processedOn: number | null;
  readonly finishedOn: number | null;
  readonly failedReason: string | null;
  readonly returnvalue: string | null;
  /** How often it was started. */
  readonly attempts: number;
  /** Who took it last. */
  readonly worker: string | null;
  readonly progress: Omit<JobProgress, 'answered'> | null;
}

/** BullMQ's names: `ats` counts the attempts that started, `pb` is the worker that took the last one. */
const fields = [
  ...[
    'data',
    'timestamp',
    'priority',
    'processedOn',
    'finishedOn',
    'failedReason',
    'returnvalue',
    'ats',
    'pb',
  ],
  'progress',
];
/** The last progress of a job that has ended says nothing, and may be long. */
const withoutProgress = fields.slice(0, -1);

/** How a key of the queue begins. */
export function queueKey(prefix: string, queue: string, name: string): string {
  return `${prefix}:${queue}:${name}`;
}

/** The records of jobs, in their order; null where there is none. One round trip. */
export async function readRecords(
  redis: RedisClient,
  keys: readonly { readonly key: string; readonly isActive: boolean }[],
): Promise<(JobRecord | null)[]> {
  const pipeline = redis.pipeline();
  for (const { key, isActive } of keys) pipeline.hmget(key, ...(isActive ? fields : withoutProgress));
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([error, values]) => {
    // No hash of BullMQ's: another program's key that is called like a job.
    if (error?.message.startsWith('WRONGTYPE')) return null;
    if (error) throw error;
    return recordOf(values as (string | null)[]);
  });
}

function recordOf(values: readonly (string | null)[]): JobRecord | null {
  const [data, timestamp, priority, processedOn, finishedOn, failedReason, returnvalue, ats, pb, progress] =
    values;
  if (timestamp === null || timestamp === undefined) return null;
  return {
    data: data ?? null,
    timestamp: timeOf(timestamp) ?? 0,
    priority: Math.max(0, Math.trunc(numberOf(priority) ?? 0)),
    processedOn: timeOf(processedOn),
    finishedOn: timeOf(finishedOn),
    failedReason: failedReason ?? null,
    returnvalue: returnvalue ?? null,
    attempts: Math.max(0, Math.trunc(numberOf(ats) ?? 0)),
    worker: pb ?? null,
    progress: progressOf(progress),
  };
}

/** The last millisecond that a `Date` can hold. */
const lastTime = 8.64e15;

/** Null for what is no time: producers may write what they like. */
function timeOf(text: string | null | undefined): number | null {
  const value = numberOf(text);
  return value !== null && Math.abs(value) <= lastTime ? value : null;
}

function numberOf(text: string | null | undefined): number | null {
  const value = Number(text ?? Number.NaN);
  return Number.isFinite(value) ? value : null;
}

const readable = tolerant(progressSchema.omit({ answered: true }));

/** Null for what another program told. */
export function readProgress(value: unknown): JobRecord['progress'] {
  const parsed = readable.safeParse(value);
  if (!parsed.success) return null;
  const { stage, framesDone, framesTotal, answersDone, answersTotal } = parsed.data as JobProgress;
  return { stage, framesDone, framesTotal, answersDone, answersTotal };
}

function progressOf(text: string | null | undefined): JobRecord['progress'] {
  try {
    return readProgress(JSON.parse(text ?? ''));
  } catch {
    return null;
  }
}
