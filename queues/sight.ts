import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { z } from 'zod';
import type { RedisClient } from './connection.js';
import type { Keys } from './options.js';
import { tolerant } from './tolerant.js';

/*
 * What the model saw of a video: small pictures of its frames, and which of their patches became which tokens. All jobs and
 * questions about a video that was encoded in the same way share one. It lies in Redis for a while, as JSON that was gzipped.
 */

const gridSchema = z.strictObject({ rows: z.int(), columns: z.int() });
/** Patches in raster order of their frame's grid. */
const patches = z.array(z.int()).readonly();

export const sightFrameSchema = z.strictObject({
  /** Position among the sampled frames, from 0. */
  index: z.int(),
  ptsSeconds: z.number(),
  /** WebP in base64. Null where the frame shows another one again (`sameAs`), and where no picture was kept. */
  picture: z.string().nullable(),
  /** Position of the frame whose tokens stand for this one. */
  sameAs: z.int().optional(),
  grid: gridSchema,
  /** Patches that were kept as they are. */
  dominant: patches,
  /** Patches that show the same in several frames, kept once as their mean. */
  static: patches.optional(),
  /** For each contextual token the patches that were merged into it, its target first. */
  contextual: z.array(patches).readonly(),
  /** Visual tokens of the frame without compression, and as they were made; 0 where another frame's stand for it. */
  tokensBefore: z.int(),
  tokensAfter: z.int(),
});

export const sightSchema = z.strictObject({
  version: z.literal(1),
  /** Of each picture, in pixels; where there is none, of what it would show. */
  width: z.int(),
  height: z.int(),
  /** Of a usual frame. */
  grid: gridSchema,
  /** All sampled frames, in order. */
  frames: z.array(sightFrameSchema).readonly(),
});

export type SightFrame = Readonly<z.infer<typeof sightFrameSchema>>;
export type Sight = Readonly<z.infer<typeof sightSchema>>;

/** What a sight may take unpacked, in bytes: more than any worker writes. */
const unpackedLimit = 32 * 2 ** 20;

const unpack = promisify(gunzip);
const readable = tolerant(sightSchema);

/** Of other versions, too; null where it cannot be read. */
export async function unpackSight(bytes: Uint8Array): Promise<Sight | null> {
  try {
    const text = await unpack(bytes, { maxOutputLength: unpackedLimit });
    return readable.parse(JSON.parse(text.toString())) as Sight;
  } catch {
    return null;
  }
}

/** Null where it has expired or given way, and where it cannot be read. */
export async function readSight(redis: RedisClient, keys: Keys, name: string): Promise<Sight | null> {
  const bytes = await redis.getBuffer(keys.sight(name));
  return bytes && unpackSight(bytes);
}
