import { z } from 'zod';
import type { RedisClient } from './connection.js';
import { writeOnce } from './once.js';
import { cancelledReason, type Keys } from './options.js';
import {
  type AskJob,
  type Failure,
  type FaultKind,
  failureSchema,
  type ResultDocument,
  resultSchema,
  tagsSchema,
} from './schemas.js';
import { tolerant } from './tolerant.js';

/**
 * The documents of finished jobs. The first one written for a job stays: a second worker that ran the same
 * job after a fault cannot change what was answered.
 */
export class Documents {
  readonly #redis: RedisClient;
  readonly #keys: Keys;
  readonly #retentionSeconds: number;

  constructor(redis: RedisClient, keys: Keys, retentionSeconds: number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#retentionSeconds = retentionSeconds;
  }

  /** @throws UnreadableDocumentError */
  async read(id: string): Promise<ResultDocument | null> {
    const text = await this.#redis.get(this.#keys.result(id));
    return text === null ? null : parse(id, text);
  }

  /** Writes the document unless the job has one that can be read, and returns the one that stands. */
  async writeOnce(document: ResultDocument): Promise<ResultDocument> {
    const { id } = document;
    const key = this.#keys.result(id);
    const text = JSON.stringify(document);
    const standing = await writeOnce(this.#redis, key, text, this.#retentionSeconds);
    if (standing === null) return document;
    try {
      return parse(id, standing);
    } catch (error) {
      if (!(error instanceof UnreadableDocumentError)) throw error;
      await this.#redis.set(key, text, 'EX', this.#retentionSeconds);
      return document;
    }
  }

  /**
   * Removes the document of a job that failed or was cancelled, so that it can be asked again. Of several
   * callers at once exactly one gets true; a completed job's document stays.
   */
  async dropFailure(id: string): Promise<boolean> {
    const key = this.#keys.result(id);
    const text = await this.#redis.get(key);
    if (text === null || parse(id, text).status === 'completed') return false;
    const dropSame = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";
    return (await this.#redis.eval(dropSame, 1, key, text)) === 1;
  }
}

/** A document that some worker wrote and that this version cannot read at all. */
export class UnreadableDocumentError extends Error {
  override readonly name = 'UnreadableDocumentError';
}

const isCompleted = (document: unknown) => (document as ResultDocument).status === 'completed';
const completed = tolerant(resultSchema).refine(isCompleted);
const ended = tolerant(failureSchema).refine((document) => !isCompleted(document));
/** Tolerant of what other versions wrote. */
const storedSchema = z.union([completed, ended]);

/** @throws UnreadableDocumentError */
function parse(id: string, text: string): ResultDocument {
  try {
    return storedSchema.parse(JSON.parse(text)) as ResultDocument;
  } catch (cause) {
    throw new UnreadableDocumentError(
      `the document of the job ${JSON.stringify(id)} cannot be read: it is damaged, or of another version`,
      { cause },
    );
  }
}

/** How a kind of fault travels in BullMQ's record of a failed job, which has room for a sentence alone. */
const marked = /^\[(question|video|model|settings)\] (.*)$/s;

/** What BullMQ shall keep as the reason why a job failed. */
export function failedReasonOf(fault: FaultKind, message: string): string {
  return fault === 'internal' ? message : `[${fault}] ${message}`;
}

export interface FailureParts {
  readonly finishedOn?: number;
  readonly attempts?: number;
  /** Name of the worker that had it last. */
  readonly worker?: string;
  readonly data?: Partial<AskJob>;
}

/** Whether there is such a time: whoever writes to Redis can make a record say anything. */
function isDate(ms: number): boolean {
  return !Number.isNaN(new Date(ms).getTime());
}

/** What stands for a job that BullMQ lists as failed for good. */
export function failureDocument(
  id: string,
  failedReason: string,
  { finishedOn = Date.now(), attempts = 0, worker, data }: FailureParts = {},
): Failure {
  const isCancelled = failedReason === cancelledReason;
  const tags = tagsSchema.safeParse(data?.tags).data;
  const [, fault = 'internal', error = failedReason] = marked.exec(failedReason) ?? [];
  return {
    id,
    status: isCancelled ? 'cancelled' : 'failed',
    error,
    fault: isCancelled ? null : (fault as FaultKind),
    attempts,
    ...(worker !== undefined && { worker }),
    ...(tags && { tags }),
    finishedAt: (isDate(finishedOn) ? new Date(finishedOn) : new Date()).toISOString(),
  };
}
