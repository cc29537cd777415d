import { needsHashTag, type RedisClient, RedisUnavailableError } from './connection.js';

/** Above this share of `maxmemory` no jobs are taken: at the limit itself the workers would stand still. */
export const memoryLimitShare = 0.8;

/** What matters of a Redis server to a queue. */
export interface RedisHealth {
  readonly version: string;
  readonly usedMemoryBytes: number;
  /** 0: no limit is set. */
  readonly maxMemoryBytes: number;
  readonly isCluster: boolean;
  /** `noeviction` is the only policy under which no job can vanish. */
  readonly maxMemoryPolicy: string;
}

/** Of the server that holds the keys of a prefix. */
export async function readHealth(redis: RedisClient, prefix: string): Promise<RedisHealth> {
  const info = await readInfo(redis, prefix);
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? '';
  return {
    version: field('valkey_version') || field('redis_version'),
    usedMemoryBytes: Number(field('used_memory')),
    maxMemoryBytes: Number(field('maxmemory')),
    isCluster: field('redis_mode') === 'cluster' || field('server_mode') === 'cluster',
    maxMemoryPolicy: field('maxmemory_policy'),
  };
}

/** A cluster sends INFO to any of its nodes, but a script to the one that holds its key. */
async function readInfo(redis: RedisClient, prefix: string): Promise<string> {
  if (!redis.isCluster) return redis.info();
  return (await redis.eval("return redis.call('INFO')", 1, `${prefix}:`)) as string;
}

/** @throws RedisUnavailableError where a cluster would spread the keys of a queue. */
export function checkPrefix({ isCluster }: RedisHealth, prefix: string, address: string): void {
  if (isCluster && !/\{[^}]+\}/.test(prefix)) throw needsHashTag(address);
}

/** @throws RedisUnavailableError where the server has used up its memory but for a fifth. */
export function checkMemory(health: RedisHealth, address: string): void {
  const { usedMemoryBytes, maxMemoryBytes } = health;
  if (maxMemoryBytes === 0 || usedMemoryBytes < memoryLimitShare * maxMemoryBytes) return;
  const percent = Math.round((100 * usedMemoryBytes) / maxMemoryBytes);
  throw new RedisUnavailableError(
    `Redis at ${address} uses ${usedMemoryBytes} of its ${maxMemoryBytes} bytes (${percent} %); ` +
      `no jobs are taken from ${100 * memoryLimitShare} % on: raise its \`maxmemory\` or wait for results to expire`,
  );
}
