import type { WorkerAbout } from '../../queues/about.js';
import type { RedisClient } from '../../queues/connection.js';
import { packageVersion } from '../models/shipped.js';

/** How long what a worker says of itself outlives it, in seconds. */
const expirySeconds = 60;

/** Keeps what a worker says of itself in Redis for as long as it lives. */
export class Presence {
  readonly #redis: RedisClient;
  readonly #key: string;
  #timer: NodeJS.Timeout | undefined;

  constructor(redis: RedisClient, key: string) {
    this.#redis = redis;
    this.#key = key;
  }

  /** Says it now and again and again. */
  start(about: Omit<WorkerAbout, 'version'>): void {
    const text = JSON.stringify({ version: packageVersion(), ...about });
    const say = () => {
      // While Redis is away nothing piles up.
      if (this.#redis.status === 'ready')
        this.#redis.set(this.#key, text, 'EX', expirySeconds).catch(() => {});
    };
    say();
    this.#timer = setInterval(say, (expirySeconds * 1000) / 3).unref();
  }

  /** To be called while Redis is still connected; the key expires where it is not. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    if (this.#redis.status === 'ready') await this.#redis.del(this.#key).catch(() => {});
  }
}
