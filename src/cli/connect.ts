import type { QueueClient } from '../../queues/client.js';
import { InputError } from '../errors.js';
import { readSettings, type Settings } from '../settings.js';
import { usageError } from './exit.js';

/** The settings; a wrong variable of the environment is a wrong command line. */
export function settings(): Settings {
  try {
    return readSettings();
  } catch (error) {
    throw error instanceof InputError ? usageError(error.message) : error;
  }
}

/**
 * Lends a queue client, starting the private Redis server where none is configured. What talks to Redis is loaded
 * here and not before: it takes longer than all the rest of the command line.
 */
export async function withQueue<T>(use: (client: QueueClient) => Promise<T>): Promise<T> {
  const configured = settings();
  const { QueueClient } = await import('../../queues/client.js');
  const { ensureRedis } = await import('../workers/redis.js');
  const { connection } = await ensureRedis(configured);
  const { prefix, queue, attempts, backoffMs, retentionSeconds } = configured;
  const client = new QueueClient({ connection, prefix, queue, attempts, backoffMs, retentionSeconds });
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}
