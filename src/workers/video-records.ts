import { hostname } from 'node:os';
import type { RedisClient } from '../../queues/connection.js';
import type { Keys } from '../../queues/options.js';
import type { Counts, VideoRecord } from '../../queues/videos.js';
import type { UsedVideo } from '../pipeline/types.js';
import type { ReadyJob } from './answer-job.js';

export interface VideoRecordsOptions {
  readonly retentionSeconds: number;
  /** Folder of encoded videos; null where none are kept. */
  readonly dir: string | null;
  /** Name of this worker. */
  readonly worker: string;
  /** Hears why something could not be written. */
  onError(error: Error): void;
}

/**
 * What a worker says in Redis of the encoded videos that its model processes keep as files, and how often what was asked for was
 * there already. Nothing waits for it, and nothing fails where it cannot be written.
 */
export class VideoRecords {
  readonly #redis: RedisClient;
  readonly #keys: Keys;
  readonly #options: VideoRecordsOptions;
  readonly #writing = new Set<Promise<void>>();

  constructor(redis: RedisClient, keys: Keys, options: VideoRecordsOptions) {
    this.#redis = redis;
    this.#keys = keys;
    this.#options = options;
  }

  /** Which encoded videos a job took. */
  note(ready: Pick<ReadyJob, 'path' | 'videoDigest' | 'model'>, used: readonly UsedVideo[]): void {
    if (used.length === 0) return;
    const of = (...reused: UsedVideo['reused'][]) => used.filter((one) => reused.includes(one.reused)).length;
    const isKept = this.#options.dir !== null;
    this.count({
      ...{ prefixHits: of('prefix'), prefixMisses: of('tokens', 'none') },
      ...(isKept && { storeHits: of('tokens'), storeMisses: of('none') }),
    });
    if (isKept) for (const one of used) this.#write(() => this.#record(ready, one));
  }

  count(counts: Partial<Counts>): void {
    const some = Object.entries(counts).filter(([, count]) => count > 0);
    if (some.length === 0) return;
    const { counts: key } = this.#keys;
    this.#write(async () => {
      const batch = this.#redis.multi();
      for (const [field, count] of some) batch.hincrby(key, field, count);
      requireDone(await batch.expire(key, this.#options.retentionSeconds).exec());
    });
  }

  /** Resolves once nothing is on its way to Redis. */
  async idle(): Promise<void> {
    await Promise.all(this.#writing);
  }

  async #record(
    { path, videoDigest, model }: Pick<ReadyJob, 'path' | 'videoDigest' | 'model'>,
    { name, reused, bytes, durationSeconds, frames, tokens }: UsedVideo,
  ): Promise<void> {
    const key = this.#keys.video(name);
    // Prefilled in memory: of its file nothing is known but what stands here, and where nothing does there may be none.
    if (bytes === undefined && (reused === 'none' || (await this.#redis.exists(key)) === 0)) return;
    const { retentionSeconds, dir, worker } = this.#options;
    const now = new Date();
    const fields: Partial<VideoRecord> = {
      ...{ video: path, videoDigest, model: model.name, modelDigest: model.digest, durationSeconds, frames },
      ...{ tokensBefore: tokens.before, tokensAfter: tokens.after, usedAt: now.toISOString() },
      ...{ worker, host: hostname(), dir: dir!, ...(bytes !== undefined && { bytes }) },
      ...(reused === 'none' && { writtenAt: now.toISOString() }),
    };
    const { videos } = this.#keys;
    const done = await this.#redis
      .multi()
      .hset(key, fields)
      .hincrby(key, 'hits', reused === 'none' ? 0 : 1)
      .expire(key, retentionSeconds)
      .zadd(videos, now.getTime(), name)
      .zremrangebyscore(videos, 0, now.getTime() - 1000 * retentionSeconds)
      .expire(videos, retentionSeconds)
      .exec();
    requireDone(done);
  }

  #write(write: () => Promise<void>): void {
    // While Redis is away nothing piles up.
    if (this.#redis.status !== 'ready') return;
    const written = write()
      .catch(this.#options.onError)
      .finally(() => this.#writing.delete(written));
    this.#writing.add(written);
  }
}

/** The commands of a transaction fail each by itself. */
function requireDone(results: readonly [Error | null, unknown][] | null): void {
  const fault = results?.find(([error]) => error !== null)?.[0];
  if (fault) throw fault;
}
