import type { Queue } from 'bullmq';
import { readAbout, type WorkerAbout } from './about.js';
import type { RedisClient } from './connection.js';
import type { Keys } from './options.js';

/** A worker that listens to a queue. */
export interface ListeningWorker {
  readonly name: string;
  readonly address: string;
  readonly ageSeconds: number;
  /** Null for workers that do not say. */
  readonly about: WorkerAbout | null;
}

/** Null where the server does not say: managed ones may forbid it, and so may an access list. */
export async function listWorkers(
  queue: Queue,
  redis: RedisClient,
  keys: Keys,
): Promise<ListeningWorker[] | null> {
  try {
    const workers = await queue.getWorkers();
    const names = workers.map(({ rawname }) => rawname?.split(':w:')[1] ?? '');
    const abouts = names.length > 0 ? await redis.mget(names.map((name) => keys.worker(name))) : [];
    return workers.map(({ addr = '', age }, i) => ({
      name: names[i]!,
      address: addr,
      ageSeconds: Number(age),
      about: readAbout(abouts[i] ?? null),
    }));
  } catch (error) {
    if (/NOPERM|unknown command|unknown subcommand/i.test((error as Error).message)) return null;
    throw error;
  }
}
