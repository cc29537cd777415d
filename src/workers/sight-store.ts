import { setTimeout as pause } from 'node:timers/promises';
import { connected, type RedisClient } from '../../queues/connection.js';
import type { Keys } from '../../queues/options.js';
import type { Settings } from '../settings.js';
import type { PackedSight } from './sight-maker.js';

/** Where Redis is, for a person to read, and a client that gives up within seconds: see `hastyClient`. */
export interface SightStoreParts {
  readonly redis: RedisClient;
  readonly address: string;
  readonly keys: Keys;
  readonly settings: Settings['sights'];
}

/** How long a job may wait for it, in milliseconds: what is under way then goes on beside. */
const longestMs = 1_000;
/** Roughly what Redis needs for one besides its content, in bytes. */
const overheadBytes = 512;

/**
 * The keys of all sights lie in one slot of a cluster, since their prefix stands in braces there. The index has a sight's name by the
 * time at which it expires; the sizes have its bytes, and their sum as `total`. What has expired leaves both with the next
 * write, and where there is too much what expires first gives way.
 *
 * KEYS: sight, index, sizes. ARGV: its name, prefix of all, seconds, limit in bytes, content, '1' to replace one that stands, overhead.
 */
const functions = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local name, prefix, seconds = ARGV[1], ARGV[2], tonumber(ARGV[3])
local function outlive(key)
  if redis.call('TTL', key) < seconds then redis.call('EXPIRE', key, seconds) end
end
local function touch()
  redis.call('EXPIRE', KEYS[1], seconds)
  redis.call('ZADD', KEYS[2], now + seconds * 1000, name)
  outlive(KEYS[2])
  outlive(KEYS[3])
end
local function forget(other)
  local bytes = redis.call('HGET', KEYS[3], other)
  if bytes then redis.call('HINCRBY', KEYS[3], 'total', -tonumber(bytes)) end
  redis.call('HDEL', KEYS[3], other)
  redis.call('ZREM', KEYS[2], other)
  redis.call('DEL', prefix .. other)
end`;

const touch = `${functions}
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
touch()
return 1`;

const write = `${functions}
if ARGV[6] ~= '1' and redis.call('EXISTS', KEYS[1]) == 1 then
  touch()
  return 0
end
for _, other in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], 0, now)) do forget(other) end
forget(name)
local bytes = #ARGV[5] + tonumber(ARGV[7])
local limit = tonumber(ARGV[4])
if bytes > limit then return 0 end
while tonumber(redis.call('HGET', KEYS[3], 'total') or 0) + bytes > limit do
  local oldest = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
  if not oldest then
    redis.call('DEL', KEYS[3])
    break
  end
  forget(oldest)
end
redis.call('SET', KEYS[1], ARGV[5])
redis.call('HSET', KEYS[3], name, bytes)
redis.call('HINCRBY', KEYS[3], 'total', bytes)
touch()
return 1`;

/**
 * Keeps what was seen of videos, for a stated time and size. Nothing of it is a fault of a job: it never throws and takes a second at
 * most, and where Redis is away or full what was seen is not kept.
 */
export class SightStore {
  readonly #parts: SightStoreParts;

  constructor(parts: SightStoreParts) {
    this.#parts = parts;
  }

  /** Whether anything is kept at all. */
  get isOpen(): boolean {
    return this.#parts.settings.limitBytes > 0;
  }

  /** One without pictures never takes the place of another. */
  async write({ name, content, isNew }: PackedSight): Promise<void> {
    const { settings } = this.#parts;
    const bytes = Buffer.from(content, 'base64');
    await this.#run(write, name, settings.limitBytes, bytes, isNew ? 1 : 0, overheadBytes);
  }

  /** It is kept for as long again. Whether it is lost: false also where Redis does not say. */
  async touch(name: string): Promise<boolean> {
    return (await this.#run(touch, name)) === 0;
  }

  /** What the script returns; undefined where it does not end, or not in time. The next job about the video tries again. */
  async #run(script: string, name: string, ...more: (string | number | Buffer)[]): Promise<unknown> {
    const { redis, address, keys, settings } = this.#parts;
    const own = [keys.sight(name), keys.sightIndex, keys.sightSizes];
    const over = new AbortController();
    const late = pause(longestMs, undefined, { signal: over.signal, ref: false }).catch(() => {});
    const done = connected(redis, address)
      .then(() => redis.eval(script, own.length, ...own, name, keys.sight(''), settings.seconds, ...more))
      .catch(() => {});
    return Promise.race([done, late]).finally(() => over.abort());
  }
}
