import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseDtypes, tellDtypes } from '../src/models/layout.js';
import { loadModel } from '../src/models/load.js';
import { dtypesOf } from '../src/models/manifest.js';
import { prepareModel } from '../src/models/prepare/prepare.js';
import type { PreparedFrame } from '../src/models/types.js';
import { StageClock } from '../src/pipeline/timings.js';
import { makeTokens } from '../src/pipeline/tokens.js';
import { answerGreedily, concat, copyFixture, fixtures, readFloats } from './support/published.js';

/*
 * Families whose connector or merger is in the tower's graph, in the types that people run: what `prepare` lets out of a graph of 4
 * or 8 bits is what the untouched graph computes (its own check), and near what float32 gives.
 */

const referenceSchema = z.object({
  arrays: z.looseObject({ pixel_values: z.array(z.int()) }),
  frames: z.int(),
  grid: z.tuple([z.int(), z.int(), z.int()]).optional(),
  question: z.string(),
  budget: z.object({ dominant: z.int(), contextual: z.int() }),
});

let dir: string;

afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe.each([
  // The mix of its makers is what is taken where nobody asks.
  ['smolvlm', undefined, 'vision=q4,embed=fp16,decoder=q4', 0.25],
  ['smolvlm', 'vision=int8,embed=fp32,decoder=q4', 'vision=int8,embed=fp32,decoder=q4', 0.05],
  ['qwen2_vl', 'fp16', 'fp16', 0.01],
  ['qwen3_5', 'vision=int8,embed=fp16,decoder=q4', 'vision=int8,embed=fp16,decoder=q4', 0.1],
])('%s as %s', (family, wish, types, limit) => {
  it(`is prepared as ${types}, gives tokens near those of float32, and an answer to the compressed video`, async () => {
    dir = copyFixture(family);
    const { manifest, differences } = await prepareModel(dir, wish ? { dtype: parseDtypes(wish) } : {});
    expect(tellDtypes(dtypesOf(manifest))).toBe(types);
    for (const { what, largest } of differences) expect(largest, what).toBeLessThanOrEqual(1e-5);
    const folder = join(fixtures, family, 'reference');
    const reference = referenceSchema.parse(JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')));
    const model = await loadModel(dir);
    try {
      const encoded = await model.vision.encode(inputsOf(folder, reference));
      const expected = readFloats(join(folder, 'visual_all.f32'));
      const found = concat(encoded.map(({ hidden }) => hidden));
      expect(rootMeanSquare(found.map((value, i) => value - expected[i]!))).toBeLessThanOrEqual(
        limit * rootMeanSquare(expected),
      );
      const blocks = await Promise.all(
        encoded.map((one) => {
          const frame = { index: one.index, ptsSeconds: one.ptsSeconds, width: 0, height: 0 };
          return makeTokens(model, { frame, encoded: [one] }, reference.budget, new StageClock());
        }),
      );
      const ptsSeconds = encoded.map((one) => one.ptsSeconds);
      const video = { ptsSeconds, durationSeconds: reference.frames };
      const prompt = model.chat.layOut(video, reference.question);
      const { logits } = await answerGreedily(model, prompt, blocks, 4);
      expect(logits.every(Number.isFinite)).toBe(true);
      const exact = readFloats(join(folder, 'logits_visionzip.f32'));
      expect(correlation(logits, exact)).toBeGreaterThan(0.8);
    } finally {
      await model.release();
    }
  });
});

function inputsOf(folder: string, { frames, grid }: z.output<typeof referenceSchema>): PreparedFrame[] {
  const pixels = readFloats(join(folder, 'pixel_values.f32'));
  const count = grid ? grid[0] : frames;
  const size = pixels.length / count;
  return Array.from({ length: count }, (_, i) => ({
    ...{ index: i, ptsSeconds: i },
    pixelValues: pixels.slice(i * size, (i + 1) * size),
    ...(grid && { grid: { rows: grid[1] / 2, columns: grid[2] / 2 } }),
  }));
}

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
}

function correlation(a: Float32Array, b: Float32Array): number {
  const centred = (values: Float32Array) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - mean);
  };
  const [x, y] = [centred(a), centred(b)];
  const dot = x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  return dot / (rootMeanSquare(x) * rootMeanSquare(y) * x.length);
}
