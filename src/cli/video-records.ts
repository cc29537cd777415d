import type { RedisClient } from '../../queues/connection.js';
import type { Keys } from '../../queues/options.js';
import { settings } from './connect.js';

type Use<T> = (redis: RedisClient, keys: Keys) => Promise<T>;

/**
 * Lends a connection to where workers say what they keep, starting the private Redis server where none is configured.
 *
 * @throws RedisUnavailableError
 */
export async function withRecords<T>(use: Use<T>): Promise<T> {
  const { ensureRedis } = await import('../workers/redis.js');
  await ensureRedis(settings());
  return borrow(use);
}

/** The same where Redis is there now; null where it is not: nothing is started, and nothing fails. */
export async function withRecordsIfThere<T>(use: Use<T>): Promise<T | null> {
  try {
    return await borrow(use);
  } catch (error) {
    // By its name, as in `run.ts`.
    if (error instanceof Error && error.name === 'RedisUnavailableError') return null;
    throw error;
  }
}

async function borrow<T>(use: Use<T>): Promise<T> {
  const { addressOf, connected, explained, hastyClient } = await import('../../queues/connection.js');
  const { keysOf } = await import('../../queues/options.js');
  const { connectionOf } = await import('../workers/redis.js');
  const configured = settings();
  const connection = connectionOf(configured);
  const address = addressOf(connection);
  const redis = hastyClient(connection);
  try {
    await connected(redis, address);
    return await use(redis, keysOf(configured.prefix, configured.queue));
  } catch (error) {
    throw explained(address, error);
  } finally {
    redis.disconnect();
  }
}
