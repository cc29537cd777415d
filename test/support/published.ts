import { cpSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { expect } from 'vitest';
import type { Frame } from '../../src/media/types.js';
import type { Model } from '../../src/models/types.js';
import { prefillVideo } from '../../src/pipeline/generate.js';
import type { Prompt } from '../../src/pipeline/prompt.js';
import { argmax } from '../../src/pipeline/sampler.js';
import type { VisualTokens } from '../../src/pipeline/types.js';

/** Small models at random weights, as training/published wrote them. */
export const fixtures = fileURLToPath(new URL('../fixtures/published', import.meta.url));

/** A copy of a published model that may be prepared, in a folder that the caller removes. */
export function copyFixture(family: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'visionzip-published-'));
  cpSync(join(fixtures, family), dir, { recursive: true });
  return dir;
}

/** Little-endian float32. */
export function readFloats(file: string): Float32Array {
  const bytes = readFileSync(file);
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

/** The logits behind a prompt, and `steps` greedy tokens. */
export async function answerGreedily(
  model: Model,
  { prefix, suffix }: Prompt,
  visual: readonly VisualTokens[],
  steps: number,
): Promise<{ logits: Float32Array; ids: number[] }> {
  let past = await prefillVideo(model, prefix, visual);
  let step = await model.decode(await model.embed(suffix), suffix.length, past);
  const { logits } = step;
  const ids: number[] = [];
  while (ids.length < steps) {
    ids.push(argmax(step.logits));
    past = step.cache;
    step = await model.decode(await model.embed([ids.at(-1)!]), 1, past);
  }
  return { logits, ids };
}
