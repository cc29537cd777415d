import { statfs } from 'node:fs/promises';
import { readHealth } from '../../../queues/health.js';
import { queueKey } from '../index/record.js';
import * as checks from './checks.js';
import { type ApiContext, talk } from './context.js';
import type { Health } from './schemas.js';

/** What is well with the queue, its server and its workers. @throws RedisUnavailableError */
export async function healthOf(context: ApiContext): Promise<Health> {
  const { overviews, settings, index } = context;
  const eventsKey = queueKey(settings.prefix, settings.queue, 'events');
  const [overview, [redis, length, bytes], disk] = await Promise.all([
    overviews.of(24),
    talk(context, (redis) =>
      Promise.all([
        readHealth(redis, settings.prefix),
        redis.xlen(eventsKey),
        // Managed servers may forbid it.
        redis.memory('USAGE', eventsKey).catch(() => null),
      ]),
    ),
    diskOf(context),
  ]);
  const { workers, counts, secondsOfWork, reuse, queue } = overview;
  return {
    checks: [
      checks.checkMemory(redis),
      checks.checkEviction(redis),
      checks.checkEvents({ length, bytes }),
      checks.checkWorkers(workers, counts.waiting + counts.delayed),
      checks.checkSandbox(workers),
      checks.checkQueue({ counts, secondsOfWork, isPaused: queue.isPaused }),
      checks.checkDisk(disk),
      checks.checkReuse(reuse),
      checks.checkIndex(index.progress),
    ],
  };
}

async function diskOf({ settings }: ApiContext): Promise<checks.Disk | null> {
  const { dir, limitBytes } = settings.tokenStore;
  const stats = await statfs(dir).catch(() => null);
  return stats && { dir, limitBytes, freeBytes: stats.bavail * stats.bsize };
}
