import { describe, expect, it } from 'vitest';
import {
  createNativeResolution,
  nativeConfigSchema,
  roundHalfEven,
} from '../src/models/native-resolution.js';

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
});

describe('settings', () => {
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

  it('round a half to the even number, as Python does', () => {
    expect([0.5, 1.5, 2.5, 2.4, 2.6].map(roundHalfEven)).toEqual([0, 2, 2, 2, 3]);
  });
});
