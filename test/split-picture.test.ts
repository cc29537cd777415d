import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { InputError } from '../src/errors.js';
import { wrapPicture } from '../src/models/families/smolvlm.js';
import { createPreprocessor } from '../src/models/preprocess.js';
import { preprocessorConfigSchema } from '../src/models/preprocessor-config.js';
import { createPictureSplit } from '../src/models/split-picture.js';
import { concat, fixtures, meanDifference, readFloats, readFrame } from './support/published.js';

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
    const text = wrapPicture(reference.prompt, grid);
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
    expect(wrapPicture(reference.prompt)).toBe(reference.expandedPrompt.replaceAll(/(<image>)+/g, '<image>'));
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
