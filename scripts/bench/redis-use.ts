import type { Redis } from 'ioredis';
import { patientClient } from '../../queues/connection.js';
import type { Stage } from '../stage.js';

/** What lies in Redis, and what it takes there, in MiB. */
export interface RedisUse {
  readonly usedMiB: number;
  readonly kinds: readonly { readonly name: string; readonly keys: number; readonly mib: number }[];
}

/** Names of keys behind the queue's own, or the prefix. */
const kinds: readonly (readonly [string, RegExp])[] = [
  ['answers', /:answer:/],
  ['documents', /:result:/],
  ['sights', /:sight:/],
  ['records of runs', /:runs?(:|$)/],
  ["BullMQ's events", /:events$/],
  ["BullMQ's jobs", /:[\da-f-]{36}$/],
  ['others', /./],
];

export async function useOfRedis({ connection }: Stage): Promise<RedisUse> {
  const redis = patientClient(connection) as Redis;
  try {
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
    const counts = new Map(kinds.map(([name]) => [name, { keys: 0, bytes: 0 }]));
    for await (const keys of redis.scanStream({ count: 1000 }) as AsyncIterable<string[]>)
      for (const [i, bytes] of (await sizesOf(redis, keys)).entries()) {
        const [name] = kinds.find(([, pattern]) => pattern.test(keys[i]!))!;
        const count = counts.get(name)!;
        count.keys += 1;
        count.bytes += bytes;
      }
    return {
      usedMiB: used / 2 ** 20,
      kinds: [...counts].map(([name, { keys, bytes }]) => ({ name, keys, mib: bytes / 2 ** 20 })),
    };
  } finally {
    redis.disconnect();
  }
}

/** So that every question is asked of the model again. */
export async function forgetAnswers({ connection, prefix }: Stage): Promise<void> {
  const redis = patientClient(connection) as Redis;
  const found = redis.scanStream({ match: `${prefix}:answer:*`, count: 1000 }) as AsyncIterable<string[]>;
  for await (const keys of found) if (keys.length > 0) await redis.unlink(keys);
  redis.disconnect();
}

async function sizesOf(redis: Redis, keys: readonly string[]): Promise<number[]> {
  const pipeline = redis.pipeline();
  for (const key of keys) pipeline.memory('USAGE', key, 'SAMPLES', 0);
  const replies = (await pipeline.exec()) ?? [];
  return replies.map(([, bytes]) => Number(bytes ?? 0));
}
