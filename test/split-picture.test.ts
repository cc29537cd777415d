import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InputError } from '../src/errors.js';
import { wrapPictures } from '../src/models/families/smolvlm.js';
import { loadModel } from '../src/models/load.js';
import { prepareModel } from '../src/models/prepare/prepare.js';
import { createPreprocessor } from '../src/models/preprocess.js';
import { preprocessorConfigSchema } from '../src/models/preprocessor-config.js';
import { createPictureSplit } from '../src/models/split-picture.js';
import type { Model } from '../src/models/types.js';
import { allow } from '../src/pipeline/allow.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { encodeFrames } from '../src/pipeline/encode.js';
import { StageClock } from '../src/pipeline/timings.js';
import { makeTokens } from '../src/pipeline/tokens.js';
import type { TokenBlock } from '../src/pipeline/types.js';
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
 * Still pictures in SmolVLM, of either version, which are cut into the crops of a grid, against transformers.
 * training/published/split_pictures.py made the references.
 */

const families = ['smolvlm', 'idefics3'];
const pictures = families.flatMap((family) =>
  readdirSync(join(fixtures, family, 'pictures')).map((picture) => ({ family, picture })),
);
const ids = z.array(z.int());
const referenceSchema = z.object({
  size: z.object({ width: z.int(), height: z.int() }),
  grid: z.object({ columns: z.int(), rows: z.int() }),
  prompt: z.string(),
  expandedPrompt: z.string(),
  expandedIds: ids,
  placeholderId: z.int(),
});
const answeredSchema = referenceSchema.extend({
  question: z.string(),
  budget: z.object({ dominant: z.int(), contextual: z.int() }),
  dominantIndices: z.array(ids),
  answers: z.object({ none: z.object({ ids }), visionzip: z.object({ ids }) }),
});
const readJson = (...path: string[]) => JSON.parse(readFileSync(join(fixtures, ...path), 'utf8'));
const configOf = (family: string) =>
  preprocessorConfigSchema.parse(readJson(family, 'preprocessor_config.json'));
// One level of 255, normalised by a standard deviation of 0.5.
const tolerance = 1 / 255 / 0.5;

describe.each(pictures)('picture $picture of $family', ({ family, picture }) => {
  const folder = join(fixtures, family, 'pictures', picture);
  const reference = referenceSchema.parse(readJson(family, 'pictures', picture, 'reference.json'));
  const { grid, size } = reference;

  it("is cut into crops as transformers' image processor does, the whole last", async () => {
    const split = createPictureSplit(configOf(family));
    expect(split.gridOf(size.width, size.height)).toEqual(grid);
    const crops = await split.preprocess(await readFrame(join(folder, 'picture.png'), 7));
    expect(crops).toHaveLength(grid.rows * grid.columns + 1);
    for (const crop of crops) expect(crop).toMatchObject({ index: 7, ptsSeconds: 7 });
    const stored = readFloats(join(folder, 'pixel_values.f32'));
    const length = stored.length / crops.length;
    crops.forEach(({ pixelValues }, i) => {
      const expected = stored.subarray(i * length, (i + 1) * length);
      expect(meanDifference(pixelValues, expected), `crop ${i}`).toBeLessThanOrEqual(tolerance);
    });
  });

  it("stands in the prompt as transformers' processor writes it", () => {
    const text = wrapPictures(reference.prompt, grid);
    expect(text).toBe(reference.expandedPrompt.replaceAll(/(<image>)+/g, '<image>'));
    const tokenizer = new Tokenizer(
      readJson(family, 'tokenizer.json'),
      readJson(family, 'tokenizer_config.json'),
    );
    const { placeholderId, expandedIds } = reference;
    const places = expandedIds.filter((id) => id === placeholderId).length;
    const perCrop = places / (grid.rows * grid.columns + 1);
    const actual = tokenizer
      .encode(text)
      .ids.flatMap((id: number) => (id === placeholderId ? new Array<number>(perCrop).fill(id) : [id]));
    expect(actual).toEqual(expandedIds);
  });
});

describe.each(families)('%s', (family) => {
  let dir: string;
  let model: Model;

  beforeAll(async () => {
    dir = copyFixture(family);
    await prepareModel(dir, { dtype: 'fp32' });
    model = await loadModel(dir);
  });

  afterAll(async () => {
    await model?.release();
    rmSync(dir, { recursive: true, force: true });
  });

  const sides = ['none', 'visionzip'] as const;
  const cases = pictures
    .filter((one) => one.family === family)
    .flatMap(({ picture }) => sides.map((side) => ({ picture, side })));

  it.each(cases)("gives transformers' tokens, prompt and answer to picture $picture: $side", async (one) => {
    const { picture, side } = one;
    const folder = join(fixtures, family, 'pictures', picture);
    const reference = answeredSchema.parse(readJson(family, 'pictures', picture, 'reference.json'));
    const stored = (name: string) => readFloats(join(folder, `${name}.f32`));
    const { budget, question, size, grid } = reference;
    const compression = side === 'none' ? side : budget;
    const asked = { questions: [question], sampling: {}, compression, generation: { maxNewTokens: 32 } };
    const timeline = { ptsSeconds: [0], displayedSeconds: 0 };
    const [allowed] = allow(model, asked, timeline, { ...size, isStill: true });
    const { plan, allowance } = allowed!;
    expect(plan.crops).toBe(grid.rows * grid.columns + 1);
    expect(allowance).toMatchObject({ inCrops: true, cropGrid: grid });

    const pixels = stored('pixel_values');
    const length = pixels.length / plan.crops;
    const preprocess = async () =>
      Array.from({ length: plan.crops }, (_, i) => {
        return { index: 0, ptsSeconds: 0, pixelValues: pixels.subarray(i * length, (i + 1) * length) };
      });
    const given = { ...model, vision: { ...model.vision, crops: { ...model.vision.crops!, preprocess } } };
    const frames = async function* () {
      yield [await readFrame(join(folder, 'picture.png'), 0)];
    };
    const clock = new StageClock();
    const blocks: TokenBlock[] = [];
    for await (const pair of encodeFrames(given, frames(), { clock, inCrops: true }))
      blocks.push(await makeTokens(given, pair, allowance.budget, clock));
    expect(blocks.map(({ origins }) => origins[0]!.crop)).toEqual([
      ...Array.from({ length: plan.crops - 1 }, (_, i) => i + 1),
      0,
    ]);
    expect(blocks.reduce((sum, { T }) => sum + T, 0)).toBe(plan.tokensPerFrame);
    expect(
      difference(
        concat(blocks.map(({ embeds }) => embeds)),
        stored(side === 'none' ? 'visual_all' : 'visual_visionzip'),
      ),
    ).toBeLessThanOrEqual(1e-4);

    const ptsSeconds = blocks.map(() => 0);
    const shown = { ptsSeconds, durationSeconds: 0, isStill: true, inCrops: true, cropGrid: grid };
    const prompt = model.chat.layOut(shown, question);
    const perCrop = plan.tokensPerFrameBefore / plan.crops;
    const expanded = [...prompt.prefix, ...prompt.suffix].flatMap((id) =>
      id === reference.placeholderId ? new Array<number>(perCrop).fill(id) : [id],
    );
    expect(expanded).toEqual(reference.expandedIds);
    const expected = reference.answers[side].ids;
    const answer = await answerGreedily(model, prompt, blocks, expected.length);
    expect(difference(answer.logits, stored(`logits_${side}`))).toBeLessThanOrEqual(1e-3);
    expect(answer.ids).toEqual(expected);
  });

  it('answers a picture from its file, with a frame in the result and a picture to look at', async () => {
    const [{ picture }] = cases as [(typeof cases)[0]];
    const reference = answeredSchema.parse(readJson(family, 'pictures', picture, 'reference.json'));
    const crops = reference.grid.rows * reference.grid.columns + 1;
    const { budget, question, size } = reference;
    const each = budget.dominant + budget.contextual;
    const seen: TokenBlock[] = [];
    const { plan, tokens, frames } = await answerVideo(
      model,
      {
        video: join(fixtures, family, 'pictures', picture, 'picture.png'),
        ...{ questions: [question], compression: budget, generation: { maxNewTokens: 8 } },
      },
      {
        onFrame: (frame, block) => {
          expect(frame).toMatchObject(size);
          seen.push(block);
        },
      },
    );
    expect(plan).toMatchObject({ frames: 1, crops, tokensPerFrame: crops * each, budget });
    expect(tokens).toEqual({ before: plan.tokensPerFrameBefore, after: crops * each });
    expect(frames).toEqual([expect.objectContaining({ index: 0, tokens: crops * each })]);
    // The whole picture's tokens, in raster order, of pixels that are not to the bit transformers'.
    expect(seen).toHaveLength(1);
    const rows = seen[0]!.origins.map((origin) => origin.rows[0]!);
    expect(rows).toEqual(rows.toSorted((a, b) => a - b));
    expect(rows).toHaveLength(each);
  });
});

describe('a frame of SmolVLM’s first version', () => {
  const { arrays, ...reference } = z
    .object({ frames: z.int(), prompt: z.string(), expandedPrompt: z.string(), arrays: z.looseObject({}) })
    .parse(readJson('idefics3', 'reference', 'reference.json'));
  const path = (file: string) => join(fixtures, 'idefics3/reference', file);

  it("is prepared as a picture that is not split, as transformers' image processor does", async () => {
    const preprocessor = createPreprocessor(configOf('idefics3'));
    expect([preprocessor.width, preprocessor.height]).toEqual((arrays.pixel_values as number[]).slice(2));
    const frames = [];
    for (let i = 0; i < reference.frames; i++)
      frames.push(await preprocessor.preprocess(await readFrame(path(`frame-${i}.png`), i)));
    const actual = concat(frames.map(({ pixelValues }) => pixelValues));
    expect(meanDifference(actual, readFloats(path('pixel_values.f32')))).toBeLessThanOrEqual(tolerance);
  });

  it("stands in the prompt as transformers' processor writes it", () => {
    expect(wrapPictures(reference.prompt)).toBe(
      reference.expandedPrompt.replaceAll(/(<image>)+/g, '<image>'),
    );
  });
});

describe('the crops of a picture', () => {
  const configured = (longest: number, side: number) => {
    const sizes = { size: { longest_edge: longest }, max_image_size: { longest_edge: side } };
    return { ...configOf('smolvlm'), ...sizes };
  };

  // By transformers' Idefics3ImageProcessor: rows and columns.
  it.each([
    [1280, 720, 2048, 512, 3, 4],
    [720, 1280, 2048, 512, 4, 3],
    [512, 512, 2048, 512, 4, 4],
    [1, 1, 2048, 512, 4, 4],
    [3000, 1, 2048, 512, 1, 4],
    [1, 3000, 2048, 512, 4, 1],
    [4000, 998, 2048, 512, 1, 4],
    [2048, 1023, 2048, 512, 2, 4],
    [333, 777, 1536, 384, 4, 2],
    [100, 25, 1456, 364, 1, 4],
    // The longer edge grows to a multiple, and takes the other over the next one.
    [300, 151, 500, 384, 2, 2],
    [1000, 501, 500, 384, 1, 2],
    // Not split.
    [90, 60, 364, 364, 0, 0],
    [60, 90, 100, 364, 0, 0],
  ])('of %i × %i at %i of %i pixels are as many as transformers makes', (...numbers) => {
    const [width, height, longest, side, rows, columns] = numbers;
    const { gridOf } = createPictureSplit(configured(longest, side));
    expect(gridOf(width, height)).toEqual({ rows, columns });
  });

  it('are none where it is not split: it is one square', async () => {
    const { preprocess } = createPictureSplit(configured(8, 8));
    const rgb = new Uint8Array(6 * 3 * 3).fill(255);
    const crops = await preprocess({ index: 0, ptsSeconds: 0, width: 6, height: 3, rgb });
    expect(crops.map(({ pixelValues }) => [...pixelValues])).toEqual([new Array(3 * 8 * 8).fill(1)]);
  });

  it('are at most six in a row or a column', () => {
    expect(() => createPictureSplit(configured(48, 8))).not.toThrow();
    expect(() => createPictureSplit(configured(49, 8))).toThrow(
      new InputError(
        '`size` must have a `longest_edge` of at most 6 times that of `max_image_size`; found 49 and 8',
        { fault: 'model' },
      ),
    );
    expect(() => createPictureSplit({ ...configured(8, 8), max_image_size: null })).toThrow(/8 and none/);
  });
});
