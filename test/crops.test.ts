import { describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.js';
import { createPictureCrops, type Resolution } from '../src/models/crops.js';
import { NEWLINE } from '../src/models/newline.js';
import { createPreprocessor } from '../src/models/preprocess.js';
import { orderOfAll } from '../src/pipeline/crop-order.js';

/** What LLaVA-NeXT's models on the hub name. */
const resolutions: Resolution[] = [
  [336, 672],
  [672, 336],
  [672, 672],
  [1008, 336],
  [336, 1008],
];
const preprocessor = createPreprocessor({
  image_processor_type: 'LlavaNextImageProcessor',
  do_resize: true,
  size: { shortest_edge: 336 },
  crop_size: { height: 336, width: 336 },
  resample: 3,
  do_rescale: true,
  rescale_factor: 1 / 255,
  do_normalize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_std: [0.5, 0.5, 0.5],
});
const patches = { rows: 24, columns: 24 };

describe('the crops of a picture', () => {
  // By transformers' get_anyres_image_grid_shape and unpad_image: rows, columns, visual tokens.
  it.each([
    [1280, 720, 2, 2, 1948],
    [720, 1280, 2, 2, 1968],
    [336, 336, 1, 2, 1176],
    [640, 480, 2, 2, 2340],
    [1, 1, 1, 2, 1176],
    [3000, 1, 1, 2, 576],
    [1, 3000, 1, 2, 600],
    [500, 400, 2, 2, 2438],
    [1000, 667, 2, 2, 2144],
    [2000, 300, 1, 3, 1306],
    [333, 777, 3, 1, 1976],
    [97, 89, 1, 2, 1224],
    // In floating point a trace short of whole tokens, which transformers rounds away.
    [99, 88, 1, 2, 1272],
    [110, 176, 1, 2, 984],
  ])('are as many as transformers makes of %i × %i', (width, height, rows, columns, tokens) => {
    const { gridOf } = createPictureCrops(resolutions, preprocessor, 3);
    const grid = gridOf(width, height);
    expect(grid).toEqual({ rows, columns });
    const order = orderOfAll(grid, patches, { width, height }, true);
    expect(order).toHaveLength(tokens);
    const kept = order.filter((token) => token !== NEWLINE);
    expect(new Set(kept).size).toBe(kept.length);
    expect(orderOfAll(grid, patches, { width, height }, false)).toEqual(kept);
  });

  it('are squares of the tower’s size, the whole first', async () => {
    const { preprocess } = createPictureCrops(resolutions, preprocessor, 3);
    const rgb = new Uint8Array(40 * 30 * 3).fill(255);
    const crops = await preprocess({ index: 0, ptsSeconds: 0, width: 40, height: 30, rgb });
    expect(crops.map(({ pixelValues }) => pixelValues.length)).toEqual(new Array(3).fill(3 * 336 * 336));
    const [whole, left] = crops;
    expect(whole!.pixelValues.every((value) => value === 1)).toBe(true);
    // White, but for the black that fills the resolution up.
    expect([left!.pixelValues[0], left!.pixelValues.at(-1)]).toEqual([-1, 1]);
  });

  it('need resolutions that the tower’s size divides', () => {
    expect(() => createPictureCrops([[336, 700]], preprocessor, 3)).toThrow(
      new InputError(
        "`image_grid_pinpoints` must be heights and widths that are multiples of the tower's 336 pixels; found 336 × 700",
        { fault: 'model' },
      ),
    );
    expect(() => createPictureCrops([], preprocessor, 3)).toThrow(/found none/);
  });
});
