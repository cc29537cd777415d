import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { writePng } from '../src/media/image.js';
import { resample } from '../src/media/resample.js';
import type { Frame } from '../src/media/types.js';
import { createPreprocessor } from '../src/models/preprocess.js';
import { preprocessorConfigSchema } from '../src/models/preprocessor-config.js';
import { plainFrames } from './media.js';

const folder = fileURLToPath(new URL('fixtures/preprocess', import.meta.url));
const stored = (name: string) => new Uint8Array(gunzipSync(readFileSync(join(folder, `${name}.gz`))));
const pair = z.tuple([z.number(), z.number()]);

/** Made by training/make_preprocess_fixture.py with transformers' processors. */
const cases = z
  .array(
    z.object({
      name: z.string(),
      /** Width and height of the frame, and of the tower's input. */
      input: pair,
      output: pair,
      config: preprocessorConfigSchema,
      /** Index into `pixelValues` and the value there. */
      samples: z.array(pair),
    }),
  )
  .parse(JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')));

const frameOf = (rgb: Uint8Array, width: number, height: number): Frame => ({
  index: 3,
  ptsSeconds: 1.5,
  width,
  height,
  rgb,
});

describe.each(cases)('$name', ({ name, input, output, config, samples }) => {
  const [width, height] = input;
  const frame = frameOf(stored(`${width}x${height}`), width, height);
  const preprocessor = createPreprocessor(config);

  test('has the size that the tower gets', () => {
    expect([preprocessor.width, preprocessor.height]).toEqual(output);
  });

  test("gives transformers' pixels, within 1 of 255 levels on average", async () => {
    const [ours, theirs] = [(await preprocessor.show(frame)).rgb, stored(name)];
    expect(ours).toHaveLength(theirs.length);
    const differences = theirs.map((level, i) => Math.abs(level - ours[i]!));
    expect(differences.reduce((sum, d) => sum + d, 0) / theirs.length).toBeLessThan(0.3);
    expect(Math.max(...differences)).toBeLessThanOrEqual(name.includes('enlarge') ? 0 : 12);
  });

  test("gives transformers' normalised values, channels first", async () => {
    const prepared = await preprocessor.preprocess(frame);
    expect(prepared).toMatchObject({ index: 3, ptsSeconds: 1.5 });
    expect(prepared.pixelValues).toHaveLength(3 * output[0] * output[1]);
    // Twelve levels where sharp resizes, rounding of float32 where our own resampler does.
    const level = 1 / 255 / Math.min(...config.image_std);
    const tolerance = name.includes('enlarge') ? 1e-6 : 12 * level;
    for (const [at, value] of samples) {
      expect(Math.abs(prepared.pixelValues[at]! - value), `value ${at}`).toBeLessThanOrEqual(tolerance);
    }
  });
});

describe('resampling', () => {
  const cubic = cases.filter(({ config }) => config.image_processor_type === 'SiglipImageProcessor');
  test.each(cubic)("is Pillow's to the bit ($name)", ({ name, input, output, config }) => {
    const source = stored(`${input[0]}x${input[1]}`);
    const ours = resample(source, ...input, ...output, config.resample);
    expect(Buffer.compare(ours, stored(name))).toBe(0);
  });

  test('to the same size changes nothing', () => {
    const source = stored('75x43');
    expect(Buffer.compare(resample(source, 75, 43, 75, 43, 3), source)).toBe(0);
  });

  test('of one colour gives that colour, and of one pixel that pixel', () => {
    const white = new Uint8Array(7 * 5 * 3).fill(255);
    expect(resample(white, 7, 5, 31, 2, 3).every((level) => level === 255)).toBe(true);
    expect([...resample(Uint8Array.of(1, 2, 3), 1, 1, 2, 2, 2)]).toEqual([
      1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3,
    ]);
  });
});

describe('a configuration', () => {
  const mean = { image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] };
  const parse = (config: object) => preprocessorConfigSchema.parse({ ...mean, ...config });

  test('may carry keys that do not matter', () => {
    const config = parse({ size: { height: 4, width: 4 }, processor_class: 'X', do_convert_rgb: true });
    expect(createPreprocessor(config)).toMatchObject({ width: 4, height: 4 });
  });

  test('of old, with single numbers, means the shortest edge for CLIP and a square elsewhere', async () => {
    const frame = frameOf(new Uint8Array(8 * 4 * 3), 8, 4);
    const clip = createPreprocessor(parse({ size: 2, crop_size: 2, do_center_crop: true }));
    const other = createPreprocessor(parse({ size: 2, image_processor_type: 'ViTImageProcessor' }));
    for (const preprocessor of [clip, other]) {
      expect(preprocessor).toMatchObject({ width: 2, height: 2 });
      expect((await preprocessor.show(frame)).rgb).toHaveLength(2 * 2 * 3);
    }
  });

  test('without rescaling or normalising leaves the levels', async () => {
    const config = parse({ size: { height: 1, width: 2 }, do_rescale: false, do_normalize: false });
    const { pixelValues } = await createPreprocessor(config).preprocess(
      frameOf(Uint8Array.of(1, 2, 3, 4, 5, 6), 2, 1),
    );
    // Channels first: both reds, both greens, both blues.
    expect([...pixelValues]).toEqual([1, 4, 2, 5, 3, 6]);
  });

  test('of SmolVLM takes a frame of one row, whose height in proportion is none', async () => {
    const sizes = { size: { longest_edge: 8 }, max_image_size: { longest_edge: 4 } };
    const config = parse({ ...sizes, image_processor_type: 'SmolVLMImageProcessor', resample: 1 });
    const frame = frameOf(new Uint8Array(100 * 3).fill(255), 100, 1);
    const { pixelValues } = await createPreprocessor(config).preprocess(frame);
    // White, 1, with mean and standard deviation 0.5.
    expect([...pixelValues]).toEqual(new Array(4 * 4 * 3).fill(1));
  });

  test.each([
    [{ size: { shortest_edge: 4 } }, /needs `do_center_crop`/],
    [{ size: { shortest_edge: 4 }, do_center_crop: true }, /`do_center_crop` needs a `crop_size`/],
    [{ size: { shortest_edge: 4 }, crop_size: 8 }, /`crop_size` 8 × 8 exceeds the resized 4 × 4/],
    [{ size: { height: 4, width: 4 }, do_resize: false }, /`do_resize` false is not supported/],
    [{ size: { longest_edge: 4 } }, /`longest_edge` is only known of SmolVLM/],
  ])('whose result has no one size (%o) is a RangeError', (config, message) => {
    expect(() => createPreprocessor(parse(config))).toThrow(RangeError);
    expect(() => createPreprocessor(parse(config))).toThrow(message);
  });

  test.each([{ size: { width: 4 } }, { size: { height: 4, width: 4 }, resample: 0 }, { size: 0 }])(
    'that is not understood (%o) is refused',
    (config) => {
      expect(preprocessorConfigSchema.safeParse({ ...mean, ...config }).success).toBe(false);
    },
  );
});

test('a picture is written as it is', async () => {
  const temporary = mkdtempSync(join(tmpdir(), 'visionzip-test-'));
  const rgb = stored('75x43');
  await writePng(join(temporary, 'frame.png'), rgb, 75, 43);
  const [read] = await plainFrames(join(temporary, 'frame.png'), rgb.length);
  expect(Buffer.compare(read!, rgb)).toBe(0);
  rmSync(temporary, { recursive: true });
});
