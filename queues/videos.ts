import { z } from 'zod';
import type { RedisClient } from './connection.js';
import type { Keys } from './options.js';

/** A number as a hash of Redis has it. */
const number = z.coerce.number();

/** What workers say of an encoded video that they keep as a file. All but the name is from whoever used it last. */
export const videoRecordSchema = z.looseObject({
  /** Of the file: 64 hexadecimal digits. */
  name: z.string(),
  /** Path and sha256 of the video. */
  video: z.string(),
  videoDigest: z.string(),
  model: z.string(),
  modelDigest: z.string(),
  durationSeconds: number,
  frames: number,
  /** Visual tokens, without and with compression. */
  tokensBefore: number,
  tokensAfter: number,
  /** Of the file. */
  bytes: number,
  /** Null where the file was written before there was a record of it. */
  writtenAt: z.string().nullable().default(null),
  usedAt: z.string(),
  /** How often it was used again. */
  hits: number,
  /** Who used it last, where, and the folder of the file. */
  worker: z.string(),
  host: z.string(),
  dir: z.string(),
});

export type VideoRecord = z.infer<typeof videoRecordSchema>;

const counter = number.default(0);

/** How often what was asked for was there already, and how often not. */
export const countsSchema = z.object({
  /** Answers, looked for by what was asked. */
  answerHits: counter,
  answerMisses: counter,
  /** Videos, looked for prefilled in the memory of a model process. */
  prefixHits: counter,
  prefixMisses: counter,
  /** Those that were not: looked for among the files of encoded videos. */
  storeHits: counter,
  storeMisses: counter,
});

export type Counts = z.infer<typeof countsSchema>;

/** The encoded videos, the one that was used last first. What is no longer known, or cannot be read, is left out. */
export async function readVideos(redis: RedisClient, keys: Keys): Promise<VideoRecord[]> {
  const names = await redis.zrange(keys.videos, '0', '-1', 'REV');
  const hashes = await Promise.all(names.map((name) => redis.hgetall(keys.video(name))));
  return hashes.flatMap((hash, i) => videoRecordSchema.safeParse({ ...hash, name: names[i] }).data ?? []);
}

/** Since they were last asked for within the retention; 0 where nothing was counted. */
export async function readCounts(redis: RedisClient, keys: Keys): Promise<Counts> {
  return countsSchema.parse(await redis.hgetall(keys.counts));
}

/** Of files that were removed. */
export async function forgetVideos(redis: RedisClient, keys: Keys, names: readonly string[]): Promise<void> {
  if (names.length === 0) return;
  await redis.zrem(keys.videos, ...names);
  await redis.del(...names.map((name) => keys.video(name)));
}
