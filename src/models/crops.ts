import { InputError } from '../errors.js';
import { resizeRgb } from '../media/image.js';
import type { Resample } from '../media/resample.js';
import type { Frame } from '../media/types.js';
import type { Grid } from './pool.js';
import type { Preprocessor } from './preprocess.js';
import type { PreparedFrame } from './types.js';

/** Height and width in pixels. */
export type Resolution = readonly [height: number, width: number];

/** How a model looks at a still picture: as a whole, and closer in crops. */
export interface PictureCrops {
  /** Whether a newline stands behind each row of the crops' tokens where none are left out. */
  readonly newlines: boolean;
  /** Whether each crop stands in the prompt by itself, the whole last; else all together, the whole first. */
  readonly apart: boolean;
  /** Rows and columns of crops for a picture of this size; 0 of both where it is not cut. */
  gridOf(width: number, height: number): Grid;
  /** The whole picture squeezed into a square, and its crops in raster order. */
  preprocess(picture: Frame): Promise<PreparedFrame[]>;
}

/**
 * LLaVA-NeXT's way with a picture ("anyres"): shrunk or enlarged to the best of a few resolutions, filled up with black,
 * and cut into squares of the tower's size, as transformers' LlavaNextImageProcessor does.
 *
 * @throws InputError for resolutions that are no multiples of the tower's size.
 */
export function createPictureCrops(
  resolutions: readonly Resolution[],
  preprocessor: Preprocessor,
  kind: Resample,
  newlines = false,
): PictureCrops {
  const { width: side, height } = preprocessor;
  const odd = resolutions.find((resolution) => resolution.some((edge) => edge % side !== 0));
  if (odd || height !== side || resolutions.length === 0)
    throw new InputError(
      `\`image_grid_pinpoints\` must be heights and widths that are multiples of the tower's ${side} pixels; ` +
        `found ${odd?.join(' × ') ?? 'none'}`,
      { fault: 'model' },
    );
  return {
    ...{ newlines, apart: false },
    gridOf: (width, height) => {
      const best = bestResolution(resolutions, width, height);
      return { rows: best[0] / side, columns: best[1] / side };
    },
    preprocess: async (picture) => {
      const best = bestResolution(resolutions, picture.width, picture.height);
      const crops = [picture, ...cut(await fitInto(picture, best, kind), side)];
      return Promise.all(crops.map((crop) => preprocessor.preprocess(crop)));
    },
  };
}

/** The resolution that shows most of the picture's pixels; among equals the one that wastes least. */
function bestResolution(resolutions: readonly Resolution[], width: number, height: number): Resolution {
  const ranked = resolutions.map((resolution) => {
    const scale = Math.min(resolution[1] / width, resolution[0] / height);
    const shown = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height);
    return { resolution, shown, wasted: resolution[0] * resolution[1] - shown };
  });
  return ranked.reduce((best, one) =>
    one.shown > best.shown || (one.shown === best.shown && one.wasted < best.wasted) ? one : best,
  ).resolution;
}

/** The picture in its proportions, in the middle of a black one of the given size. */
async function fitInto(picture: Frame, [height, width]: Resolution, kind: Resample): Promise<Frame> {
  const across = width / picture.width;
  const down = height / picture.height;
  const newWidth = across < down ? width : Math.min(Math.ceil(picture.width * down), width);
  const newHeight = across < down ? Math.min(Math.ceil(picture.height * across), height) : height;
  const small = await resizeRgb(picture.rgb, picture.width, picture.height, newWidth, newHeight, kind);
  const left = Math.floor((width - newWidth) / 2);
  const top = Math.floor((height - newHeight) / 2);
  const rgb = new Uint8Array(width * height * 3);
  for (let y = 0; y < newHeight; y++)
    rgb.set(small.subarray(y * newWidth * 3, (y + 1) * newWidth * 3), ((top + y) * width + left) * 3);
  return { ...picture, width, height, rgb };
}

/** Squares in raster order. */
export function cut(picture: Frame, side: number): Frame[] {
  const crops: Frame[] = [];
  for (let top = 0; top < picture.height; top += side) {
    for (let left = 0; left < picture.width; left += side) {
      const rgb = new Uint8Array(side * side * 3);
      for (let y = 0; y < side; y++) {
        const from = ((top + y) * picture.width + left) * 3;
        rgb.set(picture.rgb.subarray(from, from + side * 3), y * side * 3);
      }
      crops.push({ ...picture, width: side, height: side, rgb });
    }
  }
  return crops;
}
