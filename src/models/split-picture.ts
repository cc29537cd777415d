import { InputError } from '../errors.js';
import { resizeRgb } from '../media/image.js';
import type { Resample } from '../media/resample.js';
import type { Frame } from '../media/types.js';
import { cut, type PictureCrops } from './crops.js';
import { createNormaliser, scaleLongestEdge } from './preprocess.js';
import type { PreprocessorConfig } from './preprocessor-config.js';

type Size = Pick<Frame, 'width' | 'height'>;

/** Each place of a crop is a token of its own, `<row_6_col_6>` the last. */
const MOST_CROPS = 6;

/**
 * How SmolVLM, of either version, looks at a still picture, as transformers' SmolVLMImageProcessor and Idefics3ImageProcessor:
 * the longest edge goes to `size`, both edges up to multiples of the encoder's, which changes the proportions, and the crops
 * have the encoder's size. Small pictures are enlarged, so that none stays whole unless `size` is no more than the encoder's.
 *
 * @throws InputError for sizes that are missing, or make more crops than there are tokens for.
 */
export function createPictureSplit(config: PreprocessorConfig): PictureCrops {
  const { longest, side } = sizesOf(config);
  const normalise = createNormaliser(config);
  const resized = (picture: Frame, size: Size) => resize(picture, size, config.resample);
  return {
    ...{ newlines: false, apart: true },
    gridOf: (width, height) => {
      const size = roundUp(scaleLongestEdge({ width, height }, longest), side);
      const grid = { rows: size.height / side, columns: size.width / side };
      return grid.rows * grid.columns === 1 ? { rows: 0, columns: 0 } : grid;
    },
    preprocess: async (picture) => {
      const scaled = await resized(picture, scaleLongestEdge(picture, longest));
      const large = await resized(scaled, roundUp(scaled, side));
      const crops = cut(large, side);
      const whole = await resized(large, { width: side, height: side });
      return [...(crops.length > 1 ? crops : []), whole].map(normalise);
    },
  };
}

/** Pixels of a picture's longest edge before it is cut, and of the encoder's square. */
function sizesOf({ size, max_image_size }: PreprocessorConfig): { longest: number; side: number } {
  const longest = typeof size === 'object' && 'longest_edge' in size ? size.longest_edge : undefined;
  const side = max_image_size?.longest_edge;
  if (longest && side && longest <= MOST_CROPS * side) return { longest, side };
  throw new InputError(
    `\`size\` must have a \`longest_edge\` of at most ${MOST_CROPS} times that of \`max_image_size\`; ` +
      `found ${longest ?? 'none'} and ${side ?? 'none'}`,
    { fault: 'model' },
  );
}

/** Both edges up to multiples of `side`: the longer one, and what the other is then in proportion. */
function roundUp({ width, height }: Size, side: number): Size {
  const ratio = width / height;
  const up = (edge: number) => Math.ceil(edge / side) * side;
  if (width >= height) return { width: up(width), height: up(Math.trunc(up(width) / ratio)) };
  return { width: up(Math.trunc(up(height) * ratio)), height: up(height) };
}

async function resize(picture: Frame, { width, height }: Size, kind: Resample): Promise<Frame> {
  const rgb = await resizeRgb(picture.rgb, picture.width, picture.height, width, height, kind);
  return { ...picture, width, height, rgb };
}
