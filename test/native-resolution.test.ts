import { describe, expect, it } from 'vitest';
import { type NativeConfig, nativeConfigSchema, shapesConfigSchema } from '../src/models/native-config.js';
import { createNativeResolution, roundHalfEven } from '../src/models/native-resolution.js';

/** As published for Qwen2-VL's pictures, and for Qwen3-VL's pictures and videos. */
const common = {
  temporal_patch_size: 2,
  merge_size: 2,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
};
const first = nativeConfigSchema.parse({
  ...{ ...common, patch_size: 14, min_pixels: 3136, max_pixels: 12_845_056 },
});
const sized = (least: number, most: number, more = {}) =>
  nativeConfigSchema.parse({
    ...{ ...common, patch_size: 16, size: { shortest_edge: least, longest_edge: most }, ...more },
  });
const qwen2 = createNativeResolution({ image: first, video: first, pixelsOf: 'frame' });
const image = sized(65_536, 16_777_216);
const qwen3 = createNativeResolution({ image, video: sized(4096, 25_165_824), pixelsOf: 'video' });
const uncapped = createNativeResolution({
  ...{ image, pixelsOf: 'video' },
  video: sized(4096, 25_165_824, { cap_pixels_per_frame: false }),
});
/** As published for LFM2-VL; what is left out is as transformers has it. */
const shapes = shapesConfigSchema.parse({ image_mean: [0.5, 0.5, 0.5], image_std: [0.5, 0.5, 0.5] });
const lfm2 = createNativeResolution({
  ...{ image: shapes, video: shapes, pixelsOf: 'frame', gridInput: 'spatial_shapes' },
});

describe('the grid of a picture or a video', () => {
  // Height and width by transformers' smart_resize, with its cap on the pixels of a frame.
  it.each([
    [640, 360, [364, 644], [352, 640], [352, 640], [128, 224]],
    [1920, 1080, [1092, 1932], [1088, 1920], [640, 1152], [128, 224]],
    [1080, 1920, [1932, 1092], [1920, 1088], [1152, 640], [224, 128]],
    [100, 70, [56, 112], [224, 320], [64, 96], [64, 96]],
    [4000, 300, [308, 4004], [288, 4000], [224, 3232], [32, 640]],
    [56, 84, [84, 56], [320, 224], [96, 64], [96, 64]],
  ])('of %i × %i is the one that transformers gives', (width, height, ...expected) => {
    const [picture2, picture3, short, long] = expected;
    const still = { width, height, frames: 1, isStill: true };
    const video = (frames: number) => ({ width, height, frames, isStill: false });
    const edges = ({ rows, columns }: { rows: number; columns: number }, edge: number) => [
      rows * edge,
      columns * edge,
    ];
    expect(edges(qwen2.gridOf(still), 28)).toEqual(picture2);
    expect(edges(qwen3.gridOf(still), 32)).toEqual(picture3);
    expect(edges(qwen3.gridOf(video(8)), 32)).toEqual(short);
    expect(edges(qwen3.gridOf(video(768)), 32)).toEqual(long);
    expect(edges(uncapped.gridOf(video(768)), 32)).toEqual(long);
  });

  it.each([
    [640, 360, [352, 640]],
    [1920, 1080, [384, 672]],
    [100, 70, [224, 320]],
    [4000, 300, [128, 1856]],
  ])('of %i × %i in LFM2-VL has 64 to 256 tokens, as its processor gives it', (width, height, edges) => {
    const { rows, columns } = lfm2.gridOf({ width, height, frames: 8, isStill: false });
    expect([rows * 32, columns * 32]).toEqual(edges);
    expect(lfm2.gridOf({ width, height, frames: 1, isStill: true })).toEqual({ rows, columns });
  });

  it('of a video has at most 768 tokens, as in the code of its makers, where its files do not say otherwise', () => {
    const large = { width: 3840, height: 2160, frames: 2, isStill: false };
    const count = ({ rows, columns }: { rows: number; columns: number }) => rows * columns;
    expect(count(qwen2.gridOf(large))).toBeLessThanOrEqual(768);
    expect(count(qwen3.gridOf(large))).toBeLessThanOrEqual(768);
    expect(count(uncapped.gridOf(large))).toBe(68 * 120);
  });
});

describe('rows of patches', () => {
  it('hold channels, then both frames, then rows; the four patches of a token follow each other', async () => {
    const config = nativeConfigSchema.parse({
      ...{ ...common, patch_size: 1, min_pixels: 1, max_pixels: 64 },
      ...{ do_rescale: false, do_normalize: false },
    });
    const { prepare } = createNativeResolution({ image: config, video: config, pixelsOf: 'frame' });
    // Two rows of four pixels: red counts them, green is the frame, blue is 9.
    const frame = (index: number) => ({
      ...{ index, ptsSeconds: index, width: 4, height: 2 },
      rgb: Uint8Array.from(Array.from({ length: 8 }, (_, i) => [i, index, 9]).flat()),
    });
    const grid = { rows: 1, columns: 2 };
    const pair = await prepare([frame(0), frame(1)], grid, false);
    expect(pair).toMatchObject({ index: 0, ptsSeconds: 0.5, grid });
    const row = (red: number, second = 1) => [red, red, 0, second, 9, 9];
    const order = [0, 1, 4, 5, 2, 3, 6, 7];
    expect([...pair.pixelValues]).toEqual(order.flatMap((red) => row(red)));
    // A frame without a second one is taken twice.
    const alone = await prepare([frame(0)], grid, true);
    expect(alone.ptsSeconds).toBe(0);
    expect([...alone.pixelValues]).toEqual(order.flatMap((red) => row(red, 0)));
  });

  it('in LFM2-VL follow each other row by row, and hold rows, columns, then channels of one picture', async () => {
    const config = shapesConfigSchema.parse({
      ...{ ...common, encoder_patch_size: 2, downsample_factor: 1 },
      ...{ do_rescale: false, do_normalize: false },
    });
    const { prepare, framesTogether } = createNativeResolution({
      ...{ image: config, video: config, pixelsOf: 'frame', gridInput: 'spatial_shapes' },
    });
    expect(framesTogether).toBe(1);
    const rgb = Uint8Array.from(Array.from({ length: 16 }, (_, i) => [i, 7, 9]).flat());
    const frame = { index: 3, ptsSeconds: 3, width: 4, height: 4, rgb };
    const prepared = await prepare([frame], { rows: 2, columns: 2 }, false);
    const order = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
    expect([...prepared.pixelValues]).toEqual(order.flatMap((red) => [red, 7, 9]));
  });
});

describe('a still picture', () => {
  it('is resized as pictures are, not as videos', async () => {
    const settings = {
      ...{ ...common, patch_size: 1, merge_size: 1, temporal_patch_size: 1, min_pixels: 1, max_pixels: 64 },
      ...{ do_rescale: false, do_normalize: false },
    };
    const linear = nativeConfigSchema.parse({ ...settings, resample: 2 });
    const cubic = nativeConfigSchema.parse({ ...settings, resample: 3 });
    const grey = [0, 0, 200, 40, 90].flatMap((level) => [level, level, level]);
    const frame = { index: 0, ptsSeconds: 0, width: 5, height: 1, rgb: Uint8Array.from(grey) };
    const values = async (image: NativeConfig, video: NativeConfig, isStill: boolean) => {
      const { prepare } = createNativeResolution({ image, video, pixelsOf: 'frame' });
      return (await prepare([frame], { rows: 1, columns: 3 }, isStill)).pixelValues;
    };
    const still = await values(cubic, linear, true);
    const shown = await values(cubic, linear, false);
    expect(still).toEqual(await values(cubic, cubic, true));
    expect(shown).toEqual(await values(linear, linear, false));
    expect(still).not.toEqual(shown);
  });
});

describe('settings', () => {
  it.each([
    [{ patch_size: 14 }, '`patch_size` 14 and `merge_size` 2'],
    [{ merge_size: 3 }, '`patch_size` 16 and `merge_size` 3'],
  ])('of pictures must have the patches of those of videos: not %j', (change, told) => {
    expect(() =>
      createNativeResolution({ image: { ...image, ...change }, video: image, pixelsOf: 'frame' }),
    ).toThrow(
      expect.objectContaining({
        fault: 'model',
        message: expect.stringMatching(new RegExp(`${told}.*\`patch_size\` 16 and \`merge_size\` 2`)),
      }),
    );
  });

  it('must say how many pixels a picture may have', () => {
    const { error } = nativeConfigSchema.safeParse({
      ...common,
      patch_size: 14,
      size: { height: 1, width: 1 },
    });
    expect(error!.issues[0]!.message).toBe(
      'expected `size` with `shortest_edge` and `longest_edge`, or `min_pixels` and `max_pixels`',
    );
  });

  it('of LFM2-VL must leave at least as many tokens at most as at least', () => {
    const { error } = shapesConfigSchema.safeParse({ ...common, max_image_tokens: 32 });
    expect(error!.issues[0]).toMatchObject({
      path: ['max_image_tokens'],
      message: 'expected at least the 64 of `min_image_tokens`, got 32',
    });
  });

  it('round a half to the even number, as Python does', () => {
    expect([0.5, 1.5, 2.5, 2.4, 2.6].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3]);
  });
});
