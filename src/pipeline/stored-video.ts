import { createHash } from 'node:crypto';
import type { VideoInfo } from '../media/types.js';
import { fromHalves, isHalf, toHalves } from './half.js';
import type { Timeline } from './sample.js';
import type { FrameVectors, SampledFrame, TokenBlock, VideoTokens } from './types.js';
import { inverseNorms } from './vectors.js';

/*
 * An encoded video as bytes: a head in JSON, numbers behind it (of tokens, then of frames), and a digest of all at the end, so that
 * what is torn or damaged is noticed.
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

const MAGIC = { tokens: 'VZT2', facts: 'VZF1' };
const DIGEST_BYTES = 32;

interface TokensHead extends Omit<VideoTokens, 'blocks' | 'vectors'> {
  readonly precision: 'half' | 'single';
  readonly substituted: readonly [number, number][];
  readonly blocks: readonly Omit<TokenBlock, 'embeds'>[];
  /** Width of the frames' vectors. */
  readonly D: number;
}

/** The vectors of a stored video's frames, and when each is shown. */
export interface StoredVectors extends FrameVectors {
  readonly frames: readonly SampledFrame[];
}

export function packTokens({ tokens, substituted }: StoredTokens): Uint8Array {
  const { blocks, vectors, ...rest } = tokens;
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
    D: vectors.D,
  };
  const packed = precision === 'half' ? toHalves(numbers) : numbers;
  return pack(MAGIC.tokens, head, packed, toHalves(vectors.values));
}

/** Null where it is not what `packTokens` gave. */
export function unpackTokens(bytes: Uint8Array): StoredTokens | null {
  const parts = unpackParts(bytes);
  if (!parts) return null;
  const { precision, substituted, blocks, D, ...rest } = parts.head;
  const { H } = rest;
  const numbers =
    precision === 'half' ? fromHalves(new Uint16Array(parts.tokens)) : new Float32Array(parts.tokens);
  let at = 0;
  const whole = blocks.map((block) => {
    const embeds = numbers.subarray(at, at + block.T * H);
    at += block.T * H;
    return { ...block, embeds };
  });
  const vectors = { D, values: fromHalves(new Uint16Array(parts.vectors)) };
  return { tokens: { ...rest, blocks: whole, vectors }, substituted: new Map(substituted) };
}

/**
 * The vectors of a video's frames alone, from the bytes of its file in the store: see `poolFrame`. Half precision has changed their
 * lengths by about as much as frames of one scene differ, so they are brought back to 1.
 *
 * @returns null where it is no such file, or one of another version.
 */
export function readFrameVectors(bytes: Uint8Array): StoredVectors | null {
  const parts = unpackParts(bytes);
  if (!parts) return null;
  const { D, frames } = parts.head;
  const values = fromHalves(new Uint16Array(parts.vectors));
  const scales = inverseNorms(values, D);
  return { D, frames, values: values.map((value, i) => value * scales[Math.floor(i / D)]!) };
}

/** The head of an encoded video, and its numbers, still packed. */
function unpackParts(
  bytes: Uint8Array,
): { head: TokensHead; tokens: ArrayBuffer; vectors: ArrayBuffer } | null {
  const parts = unpack(MAGIC.tokens, bytes);
  if (!parts) return null;
  const head = parts.head as TokensHead;
  const count = head.blocks.reduce((sum, { T }) => sum + T * head.H, 0);
  const end = count * (head.precision === 'half' ? 2 : 4);
  return { head, tokens: parts.numbers.slice(0, end), vectors: parts.numbers.slice(end) };
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

function pack(
  magic: string,
  head: object,
  ...numbers: readonly (Uint16Array | Float32Array | Float64Array)[]
): Uint8Array {
  const text = Buffer.from(JSON.stringify(head));
  const start = Buffer.alloc(8);
  start.write(magic, 'latin1');
  start.writeUInt32LE(text.length, 4);
  const packed = numbers.map((some) => Buffer.from(some.buffer, some.byteOffset, some.byteLength));
  const parts = [start, text, ...packed];
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
