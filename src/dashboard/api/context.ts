import type { Request } from 'express';
import type { Logger } from 'pino';
import type { QueueClient } from '../../../queues/client.js';
import { connected, explained, type RedisClient } from '../../../queues/connection.js';
import type { Documents } from '../../../queues/documents.js';
import { type Keys, keysOf } from '../../../queues/options.js';
import type { Settings } from '../../settings.js';
import type { JobIndex } from '../index/index.js';
import type { Live } from './live.js';
import type { Overviews } from './overview.js';
import type { Session } from './schemas.js';

/** What the routes work with. */
export interface ApiContext {
  readonly settings: Settings;
  /** Of Redis, for a person to read. */
  readonly address: string;
  /** A hasty client: see `talk`. */
  readonly redis: RedisClient;
  readonly keys: Keys;
  readonly client: QueueClient;
  readonly documents: Documents;
  readonly index: JobIndex;
  readonly overviews: Overviews;
  readonly live: Live;
  readonly isReadOnly: boolean;
  readonly logger: Logger | undefined;
  sessionOf(request: Request): Pick<Session, 'csrf' | 'isLoggedIn'>;
}

/**
 * Runs commands on Redis.
 *
 * @throws RedisUnavailableError where it does not answer.
 */
export async function talk<T>(
  { redis, address }: Pick<ApiContext, 'redis' | 'address'>,
  say: (redis: RedisClient) => Promise<T>,
): Promise<T> {
  try {
    await connected(redis, address);
    return await say(redis);
  } catch (error) {
    throw explained(address, error);
  }
}

export function keysIn({ prefix, queue }: Settings): Keys {
  return keysOf(prefix, queue);
}
