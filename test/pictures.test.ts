import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { defaultLimits } from '../src/media/open.js';
import { loadModel } from '../src/models/load.js';
import { NEWLINE } from '../src/models/newline.js';
import { prepareModel } from '../src/models/prepare/prepare.js';
import type { Model } from '../src/models/types.js';
import { allow } from '../src/pipeline/allow.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { batches, encodeFrames } from '../src/pipeline/encode.js';
import { StageClock } from '../src/pipeline/timings.js';
import { makeTokens } from '../src/pipeline/tokens.js';
import type { Progress, TokenBlock } from '../src/pipeline/types.js';
import {
  answerGreedily,
  concat,
  copyFixture,
  difference,
  fixtures,
  meanDifference,
  readFloats,
  readFrame,
} from './support/published.js';

/*
 * Still pictures in LLaVA-NeXT, which looks at them in several crops, against transformers: with all tokens as its own
 * classes merge them, with VisionZip in the order of the authors' published code. training/published/pictures.py
 * made the references.
 */

const ids = z.array(z.int());
const referenceSchema = z.object({
  size: z.object({ width: z.int(), height: z.int() }),
  grid: z.object({ columns: z.int(), rows: z.int() }),
  question: z.string(),
  promptIds: ids,
  expandedIds: ids,
  placeholderId: z.int(),
  dominantIndices: z.array(ids),
  budget: z.object({ dominant: z.int(), contextual: z.int() }),
  answers: z.object({ none: z.object({ ids }), visionzip: z.object({ ids }) }),
});

async function* pictureOf(file: string) {
  yield await readFrame(file, 0);
}

const folder = join(fixtures, 'llava_next/pictures');
const pictures = readdirSync(folder);
let dir: string;
let model: Model;

beforeAll(async () => {
  dir = copyFixture('llava_next');
  await prepareModel(dir, { dtype: 'fp32' });
  model = await loadModel(dir);
});

afterAll(async () => {
  await model?.release();
  rmSync(dir, { recursive: true, force: true });
});

it('has pictures of several shapes', () => {
  expect(pictures.length).toBeGreaterThanOrEqual(2);
});

describe.each(pictures)('picture %s', (name) => {
  const file = join(folder, name, 'picture.png');
  const stored = (array: string) => readFloats(join(folder, name, `${array}.f32`));
  const reference = referenceSchema.parse(
    JSON.parse(readFileSync(join(folder, name, 'reference.json'), 'utf8')),
  );
  const request = (compression: 'none' | typeof reference.budget) => ({
    video: file,
    questions: [reference.question],
    sampling: {},
    compression,
    generation: { maxNewTokens: 32 },
    limits: defaultLimits,
  });

  it("is cut into crops as transformers' image processor does", async () => {
    const { width, height } = reference.size;
    expect(model.vision.crops!.gridOf(width, height)).toEqual(reference.grid);
    const crops = await model.vision.crops!.preprocess(await readFrame(file, 0));
    // Normalised by a standard deviation of at least 0.2: 1/255 before is at most 5/255 after.
    const actual = concat(crops.map(({ pixelValues }) => pixelValues));
    expect(meanDifference(actual, stored('pixel_values'))).toBeLessThanOrEqual(1 / 255 / 0.2);
  });

  it.each(['none', 'visionzip'] as const)('gives the tokens, logits and answer: %s', async (side) => {
    const compression = side === 'none' ? side : reference.budget;
    const info = { ...reference.size, isStill: true };
    const [allowed] = allow(model, request(compression), { ptsSeconds: [0], displayedSeconds: 0 }, info);
    const { plan, allowance } = allowed!;
    const pixels = stored('pixel_values');
    const size = pixels.length / plan.crops;
    const preprocess = async () =>
      Array.from({ length: plan.crops }, (_, i) => {
        return { index: 0, ptsSeconds: 0, pixelValues: pixels.subarray(i * size, (i + 1) * size) };
      });
    const project: Model['vision']['project'] = (tokens, T, compressed) => {
      expect(compressed).toBe(side === 'visionzip');
      return model.vision.project(tokens, T, compressed);
    };
    const crops = { ...model.vision.crops!, preprocess };
    const given = { ...model, vision: { ...model.vision, project, crops } };
    const clock = new StageClock();
    const visual: TokenBlock[] = [];
    for await (const pair of encodeFrames(given, batches(pictureOf(file), 1), {
      clock,
      inCrops: allowance.inCrops,
    })) {
      visual.push(await makeTokens(given, pair, allowance.budget, clock));
    }
    const [block] = visual as [TokenBlock];
    expect(
      difference(block.embeds, stored(side === 'none' ? 'visual_all' : 'visual_visionzip')),
    ).toBeLessThanOrEqual(1e-4);
    expect([visual.length, block.T, block.origins.length]).toEqual([
      1,
      plan.tokensPerFrame,
      plan.tokensPerFrame,
    ]);
    const { dominant, contextual } = reference.budget;
    const kinds = block.origins.filter(({ crop }) => crop === 0).map(({ kind }) => kind);
    if (side === 'visionzip')
      expect(kinds).toEqual([...Array(dominant).fill('dominant'), ...Array(contextual).fill('contextual')]);

    const shown = { ptsSeconds: [0], durationSeconds: 0, inCrops: allowance.inCrops };
    const prompt = model.chat.layOut(shown, reference.question);
    expect([...prompt.prefix, ...prompt.suffix]).toEqual(reference.promptIds);
    const places = reference.expandedIds.filter((id) => id === reference.placeholderId);
    expect(places).toHaveLength(plan.tokensPerFrameBefore);
    const expected = reference.answers[side].ids;
    const answer = await answerGreedily(model, prompt, visual, expected.length);
    expect(difference(answer.logits, stored(`logits_${side}`))).toBeLessThanOrEqual(1e-3);
    expect(answer.ids).toEqual(expected);
  });

  it('is answered from its file', async () => {
    const crops = 1 + reference.grid.rows * reference.grid.columns;
    const seen: TokenBlock[] = [];
    const progress: Progress[] = [];
    const { plan, tokens, timings } = await answerVideo(model, request(reference.budget), {
      onFrame: (frame, block) => {
        expect(frame).toMatchObject(reference.size);
        seen.push(block);
      },
      onProgress: (at) => progress.push(at),
    });
    expect(plan).toMatchObject({ frames: 1, crops, tokensPerFrame: crops * 10, budget: reference.budget });
    expect(tokens).toEqual({ before: plan.tokensPerFrameBefore, after: crops * 10 });
    for (const stage of ['decodeMs', 'preprocessMs', 'encodeMs', 'compressMs', 'projectMs'] as const)
      expect(timings[stage], stage).toBeGreaterThan(0);
    const whole = seen[0]!.origins.filter(({ kind, crop }) => kind === 'dominant' && crop === 0);
    expect(whole.map(({ rows }) => rows)).toEqual(reference.dominantIndices[0]!.map((row) => [row]));
    expect(progress).toContainEqual(
      expect.objectContaining({ stage: 'encode', framesDone: 1, framesTotal: 1 }),
    );
  });

  it('is encoded as a frame is where it is one of a video', () => {
    const info = { ...reference.size, isStill: false };
    const [allowed] = allow(model, request('none'), { ptsSeconds: [0, 1], displayedSeconds: 2 }, info);
    expect(allowed!.allowance.inCrops).toBe(false);
    expect(allowed!.plan).toMatchObject({ frames: 2, crops: 1, tokensPerFrame: 49 });
    // A newline behind each frame.
    const { prefix } = model.chat.layOut({ ptsSeconds: [0, 1], durationSeconds: 2 }, reference.question);
    expect(prefix.filter((id) => id === NEWLINE)).toHaveLength(2);
  });
});
