import { connected, type RedisClient } from '../../queues/connection.js';

/**
 * Jobs that nobody has begun, those with a priority and those of a paused queue included; null where Redis does not say.
 *
 * @param redis a hasty client: it gives up within seconds.
 */
export async function countWaiting(
  redis: RedisClient,
  address: string,
  { prefix, queue }: { readonly prefix: string; readonly queue: string },
): Promise<number | null> {
  const key = (name: string) => `${prefix}:${queue}:${name}`;
  try {
    await connected(redis, address);
    const lists = [redis.llen(key('wait')), redis.llen(key('paused')), redis.zcard(key('prioritized'))];
    return (await Promise.all(lists)).reduce((sum, count) => sum + count, 0);
  } catch {
    return null;
  }
}
