import { resizeRgb } from '../media/image.js';
import type { Resample } from '../media/resample.js';
import type { Frame } from '../media/types.js';
import type { Normalisation, PreprocessorConfig } from './preprocessor-config.js';
import type { PreparedFrame } from './types.js';

/** Turns frames into what the tower reads. */
export interface Preprocessor {
  /** Size of the tower's input, in pixels. */
  readonly width: number;
  readonly height: number;
  preprocess(frame: Frame): Promise<PreparedFrame>;
  /** The tower's picture before it is normalised, for people to look at. */
  show(frame: Frame): Promise<Pick<Frame, 'width' | 'height' | 'rgb'>>;
}

/**
 * The steps of transformers' CLIPImageProcessor in its order: pad, resize, centre crop, rescale, normalise;
 * height and width move behind the channels.
 *
 * @throws RangeError for a configuration whose result would not have one size.
 */
export function createPreprocessor(config: PreprocessorConfig): Preprocessor {
  const target = targetSize(config);
  const { width, height } = target;
  const tables = lookupTables(config);
  const pixels = async (frame: Frame) => {
    const square = padsToSquare(config) ? padToSquare(frame, config.image_mean) : await shrunk(config, frame);
    const [newWidth, newHeight] = resizedSize(config, square.width, square.height);
    const left = Math.floor((newWidth - width) / 2);
    const top = Math.floor((newHeight - height) / 2);
    const kind: Resample = config.resample;
    const region = { left, top, width, height };
    return await resizeRgb(square.rgb, square.width, square.height, newWidth, newHeight, kind, region);
  };
  return {
    width,
    height,
    show: async (frame) => ({ width, height, rgb: await pixels(frame) }),
    preprocess: async (frame) => {
      const pixelValues = channelsFirst(await pixels(frame), tables);
      return { index: frame.index, ptsSeconds: frame.ptsSeconds, pixelValues };
    },
  };
}

/** Both edges after everything; checked against what resizing leaves. */
function targetSize(config: PreprocessorConfig): { width: number; height: number } {
  if (!config.do_resize) throw new RangeError('`do_resize` false is not supported: frames differ in size');
  const fixed = fixedSize(config);
  const crops = config.do_center_crop ?? config.crop_size != null;
  if (!crops) {
    if (fixed) return fixed;
    throw new RangeError('`size` with `shortest_edge` needs `do_center_crop`: frames would differ in size');
  }
  if (config.crop_size == null) throw new RangeError('`do_center_crop` needs a `crop_size`');
  const crop =
    typeof config.crop_size === 'number'
      ? { width: config.crop_size, height: config.crop_size }
      : config.crop_size;
  const least = fixed ?? { width: edgeOf(config), height: edgeOf(config) };
  if (crop.width <= least.width && crop.height <= least.height) return crop;
  throw new RangeError(
    `\`crop_size\` ${crop.width} × ${crop.height} exceeds the resized ${least.width} × ${least.height}`,
  );
}

/**
 * Null where `size` names the shortest edge. A single number means that for CLIP, and a square elsewhere. LLaVA-NeXT's
 * processor squeezes the whole picture, the first of its crops, into a square.
 */
function fixedSize(config: PreprocessorConfig) {
  const { size, image_processor_type } = config;
  const square = image_processor_type.startsWith('LlavaNext') ? edgeOf(config) : encoderSize(config);
  if (square) return { width: square, height: square };
  if (typeof size === 'number') {
    return image_processor_type.startsWith('CLIP') ? null : { width: size, height: size };
  }
  if ('longest_edge' in size)
    throw new RangeError('`size` with `longest_edge` is only known of SmolVLM and Idefics3');
  return 'height' in size ? size : null;
}

function edgeOf({ size }: PreprocessorConfig): number {
  if (typeof size === 'number') return size;
  if ('longest_edge' in size) return size.longest_edge;
  return 'shortest_edge' in size ? size.shortest_edge : Math.min(size.width, size.height);
}

/** Width and height after resizing: the long edge is rounded down, as transformers does. */
function resizedSize(config: PreprocessorConfig, width: number, height: number): [number, number] {
  const fixed = fixedSize(config);
  if (fixed) return [fixed.width, fixed.height];
  const short = edgeOf(config);
  const long = Math.trunc((short * Math.max(width, height)) / Math.min(width, height));
  return width <= height ? [short, long] : [long, short];
}

function padsToSquare({ do_pad, image_processor_type }: PreprocessorConfig): boolean {
  return do_pad === true && image_processor_type.startsWith('LlavaImageProcessor');
}

/**
 * SmolVLM resizes a video's frame twice: its longest edge to the encoder's size (as a picture that is not split, Idefics3's, to
 * `size`), the other in proportion and even, and then both to a square.
 */
async function shrunk(
  config: PreprocessorConfig,
  frame: Frame,
): Promise<Pick<Frame, 'rgb' | 'width' | 'height'>> {
  const square = encoderSize(config);
  if (square === undefined) return frame;
  const longest = config.image_processor_type.startsWith('Idefics3') ? edgeOf(config) : square;
  const { rgb, width, height } = frame;
  const scale = longest / Math.max(width, height);
  const even = (size: number) => Math.trunc(size) + (Math.trunc(size) % 2);
  const newWidth = width >= height ? longest : even(width * scale);
  const newHeight = width >= height ? even(height * scale) : longest;
  const whole = { left: 0, top: 0, width: newWidth, height: newHeight };
  const small = await resizeRgb(rgb, width, height, newWidth, newHeight, config.resample, whole);
  return { rgb: small, width: newWidth, height: newHeight };
}

function encoderSize({ image_processor_type, max_image_size }: PreprocessorConfig): number | undefined {
  return /^(SmolVLM|Idefics3)/.test(image_processor_type) ? max_image_size?.longest_edge : undefined;
}

/** LLaVA's expand2square: the frame in the middle of a square of the mean colour. */
function padToSquare({ rgb, width, height }: Frame, mean: readonly number[]) {
  const side = Math.max(width, height);
  if (width === height) return { rgb, width, height };
  const colour = mean.map((value) => Math.trunc(value * 255));
  const out = new Uint8Array(side * side * 3);
  for (let i = 0; i < out.length; i++) out[i] = colour[i % 3]!;
  const left = Math.floor((side - width) / 2);
  const top = Math.floor((side - height) / 2);
  for (let y = 0; y < height; y++) {
    out.set(rgb.subarray(y * width * 3, (y + 1) * width * 3), ((top + y) * side + left) * 3);
  }
  return { rgb: out, width: side, height: side };
}

/**
 * For each channel the normalised value of each of the 256 levels, in float32 arithmetic as numpy does it.
 */
export function lookupTables(config: Normalisation): Float32Array[] {
  const scale = config.do_rescale ? config.rescale_factor : 1;
  return config.image_mean.map((mean, channel) => {
    const std = config.image_std[channel]!;
    return Float32Array.from({ length: 256 }, (_, level) => {
      const value = Math.fround(level * scale);
      return config.do_normalize ? Math.fround(value - Math.fround(mean)) / Math.fround(std) : value;
    });
  });
}

/** (H, W, 3) to (3, H, W). */
function channelsFirst(rgb: Uint8Array, [red, green, blue]: readonly Float32Array[]): Float32Array {
  const plane = rgb.length / 3;
  const out = new Float32Array(rgb.length);
  for (let i = 0, at = 0; i < plane; i++) {
    out[i] = red![rgb[at++]!]!;
    out[plane + i] = green![rgb[at++]!]!;
    out[2 * plane + i] = blue![rgb[at++]!]!;
  }
  return out;
}
