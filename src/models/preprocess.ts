import { resizeRgb } from '../media/image.js';
import type { Resample } from '../media/resample.js';
import type { Frame } from '../media/types.js';
import { oncePerFrame } from './once-per-frame.js';
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
  const pixels = oncePerFrame(async (frame) => {
    const square = padsToSquare(config) ? padToSquare(frame, config.image_mean) : await shrunk(config, frame);
    const [newWidth, newHeight] = resizedSize(config, square.width, square.height);
    const left = Math.floor((newWidth - width) / 2);
    const top = Math.floor((newHeight - height) / 2);
    const kind: Resample = config.resample;
    const region = { left, top, width, height };
    return await resizeRgb(square.rgb, square.width, square.height, newWidth, newHeight, kind, region);
  });
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
 * SmolVLM resizes a video's frame twice: its longest edge to the encoder's size, and then both to a square. Its first
 * version, Idefics3, knows pictures only, whose longest edge goes to `size` before.
 */
async function shrunk(
  config: PreprocessorConfig,
  frame: Frame,
): Promise<Pick<Frame, 'rgb' | 'width' | 'height'>> {
  const { size, image_processor_type } = config;
  const encoder = encoderSize(config);
  if (encoder === undefined) return frame;
  const isPicture = image_processor_type.startsWith('Idefics3') && typeof size === 'object';
  const longest = isPicture && 'longest_edge' in size ? size.longest_edge : encoder;
  const { width, height } = scaleLongestEdge(frame, longest);
  const rgb = await resizeRgb(frame.rgb, frame.width, frame.height, width, height, config.resample);
  return { rgb, width, height };
}

function encoderSize({ image_processor_type, max_image_size }: PreprocessorConfig): number | undefined {
  return /^(SmolVLM|Idefics3)/.test(image_processor_type) ? max_image_size?.longest_edge : undefined;
}

/**
 * Width and height with the longest edge at `longest` pixels, the other in proportion, rounded down and then up to an even
 * number, as transformers does for Idefics3 and SmolVLM.
 */
export function scaleLongestEdge(
  { width, height }: Pick<Frame, 'width' | 'height'>,
  longest: number,
): Pick<Frame, 'width' | 'height'> {
  const ratio = width / height;
  const short = Math.trunc(width >= height ? longest / ratio : longest * ratio);
  const even = Math.max(1, short + (short % 2));
  return width >= height ? { width: longest, height: even } : { width: even, height: longest };
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

/** From a picture that has the tower's size to what the tower reads. */
export function createNormaliser(config: PreprocessorConfig): (picture: Frame) => PreparedFrame {
  const tables = lookupTables(config);
  return ({ index, ptsSeconds, rgb }) => ({ index, ptsSeconds, pixelValues: channelsFirst(rgb, tables) });
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
