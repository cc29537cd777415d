import {
  addressOf,
  connected,
  explained,
  hastyClient,
  type RedisConnection,
  RedisUnavailableError,
} from '../../queues/connection.js';
import { checkPrefix, type RedisHealth, readHealth } from '../../queues/health.js';
import { defaultPrefix } from '../../queues/options.js';
import type { Settings } from '../settings.js';
import { socketOf, startPrivateRedis, stopPrivateRedis } from './private-redis.js';

type Where = Pick<Settings, 'redis' | 'home'>;

export interface EnsuredRedis {
  readonly connection: RedisConnection;
  /** For a person to read. */
  readonly address: string;
  /** Whether this call started the server. */
  readonly started: boolean;
}

/** Where Redis is, by the settings alone; nothing is started or asked. */
export function connectionOf({ redis, home }: Where): RedisConnection {
  return redis ?? { path: socketOf(home) };
}

/**
 * The server, sentinels or cluster of the settings; else a private one on a unix socket below the home folder, which
 * is started unless it runs.
 *
 * @throws RedisUnavailableError where no server is installed or it does not start.
 */
export async function ensureRedis(settings: Where): Promise<EnsuredRedis> {
  const connection = connectionOf(settings);
  const started = settings.redis === null && (await startPrivateRedis(settings.home));
  return { connection, address: addressOf(connection), started };
}

/** Ends the private server. @returns false where none runs, and where the settings name another one. */
export async function stopRedis({ redis, home }: Where): Promise<boolean> {
  return redis === null && stopPrivateRedis(home);
}

/**
 * Checks that the server answers and never throws jobs away. Whether it has memory left is checked where a job
 * is added: a worker is to start on a full server, too, since it empties the queue.
 *
 * @throws RedisUnavailableError
 */
export async function checkRedis(connection: RedisConnection, prefix = defaultPrefix): Promise<RedisHealth> {
  const address = addressOf(connection);
  const redis = hastyClient(connection);
  try {
    await connected(redis, address);
    const health = await readHealth(redis, prefix);
    requireVersion(health, address);
    checkPrefix(health, prefix, address);
    await redis.exists(`${prefix}:`); // One node of a cluster that holds other keys would say so to the first job only.
    if (health.maxMemoryPolicy !== '' && health.maxMemoryPolicy !== 'noeviction') {
      throw new RedisUnavailableError(
        `Redis at ${address} has the \`maxmemory-policy\` ${health.maxMemoryPolicy}, under which jobs and ` +
          'results can vanish; expected noeviction: CONFIG SET maxmemory-policy noeviction',
      );
    }
    return health;
  } catch (error) {
    throw explained(address, error);
  } finally {
    redis.disconnect();
  }
}

/** BullMQ's scripts need commands of Redis 6.2; Valkey began at 7.2. */
function requireVersion({ version }: RedisHealth, address: string): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major > 6 || (major === 6 && minor >= 2)) return;
  throw new RedisUnavailableError(`Redis at ${address} is of version ${version}: expected 6.2 or newer`);
}
