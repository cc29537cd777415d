import { cpSync, existsSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import sharp from 'sharp';
import { expect } from 'vitest';
import type { Frame } from '../../src/media/types.js';
import type { EncodedFrame, Model, Prompt, ShownVideo, TokenBudget } from '../../src/models/types.js';
import { prefillVideo } from '../../src/pipeline/generate.js';
import { argmax } from '../../src/pipeline/sampler.js';
import { StageClock } from '../../src/pipeline/timings.js';
import { makeTokens } from '../../src/pipeline/tokens.js';
import type { TokenBlock, VideoTokens } from '../../src/pipeline/types.js';

/** Small models at random weights, as training/published wrote them. */
export const fixtures = fileURLToPath(new URL('../fixtures/published', import.meta.url));

/** A copy of a published model that may be prepared, in a folder that the caller removes. */
export function copyFixture(family: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'visionzip-published-'));
  cpSync(join(fixtures, family), dir, { recursive: true });
  return dir;
}

/** Little-endian float32; what is large lies beside its name as `.gz`. */
export function readFloats(file: string): Float32Array {
  const bytes = existsSync(file) ? readFileSync(file) : gunzipSync(readFileSync(`${file}.gz`));
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

export async function readFrame(file: string, index: number): Promise<Frame> {
  const { data, info } = await sharp(file).removeAlpha().raw().toBuffer({ resolveWithObject: true });
  return { index, ptsSeconds: index, width: info.width, height: info.height, rgb: new Uint8Array(data) };
}

/** max |actual − expected| / (1 + |expected|). */
export function difference(actual: Float32Array, expected: Float32Array): number {
  expect(actual).toHaveLength(expected.length);
  return expected.reduce((worst, e, i) => Math.max(worst, Math.abs(actual[i]! - e) / (1 + Math.abs(e))), 0);
}

/** mean |actual − expected|. */
export function meanDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual).toHaveLength(expected.length);
  return expected.reduce((sum, e, i) => sum + Math.abs(actual[i]! - e), 0) / expected.length;
}

export function concat(parts: readonly Float32Array[]): Float32Array {
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

/** The visual tokens of a frame of a video, all or with a budget. */
export function tokensOf(
  model: Model,
  encoded: EncodedFrame,
  budget: TokenBudget | null,
): Promise<TokenBlock> {
  const frame = { ...encoded, width: 0, height: 0 };
  return makeTokens(model, { frame, encoded: [encoded] }, budget, new StageClock());
}

/** A video of so many frames, a second apart. */
export function videoOf(frames: number): ShownVideo {
  return { ptsSeconds: Array.from({ length: frames }, (_, i) => i), durationSeconds: frames };
}

/** Earlier turns stand behind the same video, in their order. */
export function expectTurns({ chat }: Pick<Model, 'chat'>): void {
  const turn = { question: 'What color is it?', answer: 'It is red.' };
  const alone = chat.layOut(videoOf(2), 'Where is it?');
  const { prefix, suffix } = chat.layOut(videoOf(2), 'Where is it?', [turn]);
  expect(prefix).toEqual(alone.prefix);
  expect(chat.detokenize(suffix)).toMatch(/What color is it\?[\s\S]+It is red\.[\s\S]+Where is it\?/);
}

/** Blocks of a video's frames as the decoder gets them. */
export function asVideo(
  { vision }: Pick<Model, 'vision'>,
  blocks: readonly TokenBlock[],
): Pick<VideoTokens, 'blocks' | 'grid' | 'framesTogether'> {
  const { framesTogether = 1 } = vision.native ?? {};
  return { blocks, grid: blocks[0]?.grid ?? vision.grid, framesTogether };
}

/** The logits behind a prompt, and `steps` greedy tokens. */
export async function answerGreedily(
  model: Model,
  { prefix, suffix }: Prompt,
  blocks: readonly TokenBlock[],
  steps: number,
): Promise<{ logits: Float32Array; ids: number[] }> {
  let past = await prefillVideo(model, prefix, asVideo(model, blocks));
  const forward = async (tokens: readonly number[]) =>
    model.language.forward({ embeds: await model.language.embed(tokens), S: tokens.length }, past);
  let step = await forward(suffix);
  const { logits } = step;
  const ids: number[] = [];
  while (ids.length < steps) {
    ids.push(argmax(step.logits));
    past = step.cache;
    step = await forward([ids.at(-1)!]);
  }
  return { logits, ids };
}
