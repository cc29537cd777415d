import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import type { RedisConnection } from '../../queues/index.js';
import { ensureRedis, stopRedis } from '../../src/workers/redis.js';

/** A private Redis server in a home folder of its own, for the tests of one file. */
export interface TestRedis {
  home: string;
  socket: string;
  connection: RedisConnection;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export function useRedis(): TestRedis {
  const redis: TestRedis = {
    home: '',
    socket: '',
    connection: { path: '' },
    start: async () => {
      const { connection, address } = await ensureRedis({ redis: null, home: redis.home });
      redis.connection = connection;
      redis.socket = address;
    },
    stop: async () => {
      await stopRedis({ redis: null, home: redis.home });
    },
  };
  beforeAll(async () => {
    redis.home = await mkdtemp(join(tmpdir(), 'visionzip-'));
    await redis.start();
  });
  afterAll(async () => {
    await redis.stop();
    await rm(redis.home, { recursive: true, force: true });
  });
  return redis;
}

/** A name for a queue, or a prefix, that no other test uses. */
export function freshQueue(): string {
  return `test-${randomUUID().slice(0, 8)}`;
}
