import type { RedisClient } from './connection.js';

/** Writes a text under a key that has none, for so many seconds. Returns the text that stood there before; null where it was written. */
export async function writeOnce(
  redis: RedisClient,
  key: string,
  text: string,
  seconds: number,
): Promise<string | null> {
  const written = await redis.set(key, text, 'EX', seconds, 'NX');
  return written === 'OK' ? null : redis.get(key);
}
