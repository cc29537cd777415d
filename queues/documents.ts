import type { Redis } from 'ioredis';
import { writeOnce } from './once.js';
import { cancelledReason, type Keys } from './options.js';
import { documentSchema, type Failure, type ResultDocument } from './schemas.js';

/**
 * The documents of finished jobs. The first one written for a job stays: a second worker that ran the same
 * job after a fault cannot change what was answered.
 */
export class Documents {
  readonly #redis: Redis;
  readonly #keys: Keys;
  readonly #retentionSeconds: number;

  constructor(redis: Redis, keys: Keys, retentionSeconds: number) {
    this.#redis = redis;
    this.#keys = keys;
    this.#retentionSeconds = retentionSeconds;
  }

  async read(id: string): Promise<ResultDocument | null> {
    const text = await this.#redis.get(this.#keys.result(id));
    return text === null ? null : parse(text);
  }

  /** Writes the document unless the job has one, and returns the one that stands. */
  async writeOnce(document: ResultDocument): Promise<ResultDocument> {
    const key = this.#keys.result(document.id);
    return parse(await writeOnce(this.#redis, key, JSON.stringify(document), this.#retentionSeconds));
  }

  /**
   * Removes the document of a job that failed or was cancelled, so that it can be asked again. Of several
   * callers at once exactly one gets true; a completed job's document stays.
   */
  async dropFailure(id: string): Promise<boolean> {
    const key = this.#keys.result(id);
    const text = await this.#redis.get(key);
    if (text === null || parse(text).status === 'completed') return false;
    const dropSame = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";
    return (await this.#redis.eval(dropSame, 1, key, text)) === 1;
  }
}

function parse(text: string): ResultDocument {
  return documentSchema.parse(JSON.parse(text));
}

/** What stands for a job that BullMQ lists as failed for good. */
export function failureDocument(id: string, failedReason: string, finishedOn = Date.now()): Failure {
  return {
    id,
    status: failedReason === cancelledReason ? 'cancelled' : 'failed',
    error: failedReason,
    finishedAt: new Date(finishedOn).toISOString(),
  };
}
