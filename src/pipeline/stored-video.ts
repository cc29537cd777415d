import { createHash } from 'node:crypto';
import type { VideoInfo } from '../media/types.js';
import { fromHalves, isHalf, toHalves } from './half.js';
import type { Timeline } from './sample.js';
import type { TokenBlock, VideoTokens } from './types.js';

/*
 * An encoded video as bytes: a head in JSON, numbers behind it, and a digest of both at the end, so that what is torn or
 * damaged is noticed.
 */

/** What an encoded video is kept with. */
export interface StoredTokens {
  readonly tokens: VideoTokens;
  /** Of each frame for which another stands in, by its position: how far that one is away, in seconds. */
  readonly substituted: ReadonlyMap<number, number>;
}

/** What is known of a video without a look into it: enough to plan with. */
export interface VideoFacts extends Timeline {
  readonly info: VideoInfo;
  readonly ptsSeconds: Float64Array;
  /** Frames where something happens, the most of it first. */
  readonly events: readonly number[];
}

const MAGIC = { tokens: 'VZT1', facts: 'VZF1' };
const DIGEST_BYTES = 32;

interface TokensHead extends Omit<VideoTokens, 'blocks'> {
  readonly precision: 'half' | 'single';
  readonly substituted: readonly [number, number][];
  readonly blocks: readonly Omit<TokenBlock, 'embeds'>[];
}

export function packTokens({ tokens, substituted }: StoredTokens): Uint8Array {
  const { blocks, ...rest } = tokens;
  const precision = blocks.every(({ embeds }) => isHalf(embeds)) ? 'half' : 'single';
  const numbers = new Float32Array(blocks.reduce((sum, { embeds }) => sum + embeds.length, 0));
  let at = 0;
  for (const { embeds } of blocks) {
    numbers.set(embeds, at);
    at += embeds.length;
  }
  const head: TokensHead = {
    ...rest,
    precision,
    substituted: [...substituted],
    blocks: blocks.map(({ embeds: _, ...block }) => block),
  };
  const packed = precision === 'half' ? toHalves(numbers) : numbers;
  return pack(MAGIC.tokens, head, packed);
}

/** Null where it is not what `packTokens` gave. */
export function unpackTokens(bytes: Uint8Array): StoredTokens | null {
  const parts = unpack(MAGIC.tokens, bytes);
  if (!parts) return null;
  const { precision, substituted, blocks, ...rest } = parts.head as TokensHead;
  const { H } = rest;
  const numbers =
    precision === 'half' ? fromHalves(new Uint16Array(parts.numbers)) : new Float32Array(parts.numbers);
  let at = 0;
  const whole = blocks.map((block) => {
    const embeds = numbers.subarray(at, at + block.T * H);
    at += block.T * H;
    return { ...block, embeds };
  });
  return { tokens: { ...rest, blocks: whole }, substituted: new Map(substituted) };
}

export function packFacts({ ptsSeconds, ...head }: VideoFacts): Uint8Array {
  return pack(MAGIC.facts, head, ptsSeconds);
}

/** Null where it is not what `packFacts` gave. */
export function unpackFacts(bytes: Uint8Array): VideoFacts | null {
  const parts = unpack(MAGIC.facts, bytes);
  if (!parts) return null;
  return { ...(parts.head as Omit<VideoFacts, 'ptsSeconds'>), ptsSeconds: new Float64Array(parts.numbers) };
}

function pack(magic: string, head: object, numbers: Uint16Array | Float32Array | Float64Array): Uint8Array {
  const text = Buffer.from(JSON.stringify(head));
  const start = Buffer.alloc(8);
  start.write(magic, 'latin1');
  start.writeUInt32LE(text.length, 4);
  const parts = [start, text, Buffer.from(numbers.buffer, numbers.byteOffset, numbers.byteLength)];
  return Buffer.concat([...parts, digestOf(parts)]);
}

function unpack(magic: string, bytes: Uint8Array): { head: unknown; numbers: ArrayBuffer } | null {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = all.length - DIGEST_BYTES;
  if (end < 8 || all.toString('latin1', 0, 4) !== magic) return null;
  if (!digestOf([all.subarray(0, end)]).equals(all.subarray(end))) return null;
  const numbersStart = 8 + all.readUInt32LE(4);
  // The digest says that it is what was written: its fields need no second look.
  const head: unknown = JSON.parse(all.toString('utf8', 8, numbersStart));
  return { head, numbers: new Uint8Array(all.subarray(numbersStart, end)).buffer };
}

function digestOf(parts: readonly Buffer[]): Buffer {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
}
