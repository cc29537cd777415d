import type { RedisClient } from './connection.js';

/** Writes a text under a key that has none, for so many seconds. Returns the text that stands. */
export async function writeOnce(
  redis: RedisClient,
  key: string,
  text: string,
  seconds: number,
): Promise<string> {
  const written = await redis.set(key, text, 'EX', seconds, 'NX');
  return written === 'OK' ? text : ((await redis.get(key)) ?? text);
}
