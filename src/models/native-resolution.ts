import { InputError } from '../errors.js';
import { resizeRgb } from '../media/image.js';
import type { Resample } from '../media/resample.js';
import type { Frame } from '../media/types.js';
import type { NativeConfig, NativeTower } from './native-config.js';
import { oncePerFrame } from './once-per-frame.js';
import type { Grid } from './pool.js';
import { lookupTables } from './preprocess.js';
import type { NativeResolution, VideoShape } from './types.js';

/** How a family's pictures are prepared. */
export interface NativeSettings
  extends Pick<NativeTower, 'pixelsOf'>,
    Partial<Pick<NativeTower, 'gridInput'>> {
  readonly image: NativeConfig;
  readonly video: NativeConfig;
}

/** Tokens of a frame of a video, at most, in the makers' own code (qwen-vl-utils). */
const MOST_FRAME_TOKENS = 768;

/** Pictures in their own proportions, near their own size, for a tower whose merger makes one token of some patches. */
export function createNativeResolution(settings: NativeSettings): NativeResolution {
  const { image, video, gridInput } = settings;
  requireSamePatches(image, video);
  const cut = gridInput === 'spatial_shapes' ? cutRaster : cutPatches;
  const edge = video.patch_size * video.merge_size;
  const resize = oncePerFrame(({ rgb, width, height }, ...to: [number, number, Resample]) =>
    resizeRgb(rgb, width, height, ...to),
  );
  const pixels = (frame: Frame, { rows, columns }: Grid, { resample }: NativeConfig) =>
    resize(frame, columns * edge, rows * edge, resample);
  return {
    framesTogether: video.temporal_patch_size,
    show: async (frame, grid) => ({
      ...{ width: grid.columns * edge, height: grid.rows * edge },
      rgb: await pixels(frame, grid, video),
    }),
    gridOf: (shape) => {
      const [height, width] = sizeOf(settings, shape);
      return { rows: height / edge, columns: width / edge };
    },
    prepare: async (frames, grid, isStill) => {
      const config = isStill ? image : video;
      const pictures: Uint8Array[] = [];
      for (const frame of frames) pictures.push(await pixels(frame, grid, config));
      while (pictures.length < video.temporal_patch_size) pictures.push(pictures.at(-1)!);
      const [first] = frames as [Frame];
      return {
        index: first.index,
        ptsSeconds: (first.ptsSeconds + frames.at(-1)!.ptsSeconds) / 2,
        pixelValues: cut(pictures, grid, config),
        grid,
      };
    },
  };
}

/** A tower has one kind of patches. */
function requireSamePatches(image: NativeConfig, video: NativeConfig): void {
  if (image.patch_size === video.patch_size && image.merge_size === video.merge_size) return;
  const tell = ({ patch_size, merge_size }: NativeConfig) =>
    `\`patch_size\` ${patch_size} and \`merge_size\` ${merge_size}`;
  throw new InputError(`pictures have ${tell(image)}, videos ${tell(video)}: expected the same`, {
    fault: 'model',
  });
}

/** Height and width after resizing. */
function sizeOf({ image, video, pixelsOf }: NativeSettings, shape: VideoShape): [number, number] {
  const { width, height, frames, isStill } = shape;
  if (isStill) return resizeWithin(image, 1, height, width, image.most);
  const edge = video.patch_size * video.merge_size;
  const caps = video.cap_pixels_per_frame ?? true;
  const together = video.temporal_patch_size;
  if (pixelsOf === 'frame') {
    const most = caps ? Math.min(video.most, MOST_FRAME_TOKENS * edge ** 2) : video.most;
    return resizeWithin(video, 1, height, width, Math.max(most, video.least));
  }
  const each = Math.min(MOST_FRAME_TOKENS * edge ** 2, Math.floor(video.most / frames));
  const most = caps ? Math.max(each, Math.floor(1.05 * video.least)) * frames : video.most;
  return resizeWithin(video, Math.max(frames, together), height, width, most);
}

/**
 * Multiples of a token's edge near a picture's own size, between the least and the most pixels, that of `frames` of them
 * together: transformers' `smart_resize`.
 */
function resizeWithin(
  { patch_size, merge_size, temporal_patch_size, least }: NativeConfig,
  frames: number,
  height: number,
  width: number,
  most: number,
): [number, number] {
  const edge = patch_size * merge_size;
  const whole = frames === 1 ? 1 : roundHalfEven(frames / temporal_patch_size) * temporal_patch_size;
  const both = (resize: (size: number) => number): [number, number] => [
    Math.max(1, resize(height / edge)) * edge,
    Math.max(1, resize(width / edge)) * edge,
  ];
  const near = both(roundHalfEven);
  const pixels = whole * near[0] * near[1];
  if (pixels > most) {
    const shrink = Math.sqrt((frames * height * width) / most);
    return both((size) => Math.floor(size / shrink));
  }
  if (pixels < least) {
    const grow = Math.sqrt(least / (frames * height * width));
    return both((size) => Math.ceil(size * grow));
  }
  return near;
}

/** As Python rounds. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Pictures (H, W, 3) of a group → (patches, 3 · group · p · p). The patches of one token follow each other; in each come
 * channels, then the pictures, then rows and columns.
 */
function cutPatches(
  pictures: readonly Uint8Array[],
  { rows, columns }: Grid,
  config: NativeConfig,
): Float32Array {
  const { patch_size: p, merge_size: m } = config;
  const tables = lookupTables(config);
  const width = columns * m * p;
  const out = new Float32Array(rows * columns * m * m * 3 * pictures.length * p * p);
  let at = 0;
  for (let token = 0; token < rows * columns; token++) {
    for (let inside = 0; inside < m * m; inside++) {
      const top = (Math.floor(token / columns) * m + Math.floor(inside / m)) * p;
      const left = ((token % columns) * m + (inside % m)) * p;
      for (let channel = 0; channel < 3; channel++)
        for (const picture of pictures)
          for (let y = top; y < top + p; y++)
            for (let x = left; x < left + p; x++)
              out[at++] = tables[channel]![picture[(y * width + x) * 3 + channel]!]!;
    }
  }
  return out;
}

/**
 * A picture (H, W, 3) → (patches, p · p · 3) for towers of the kind NaFlex (SigLIP 2, arXiv 2502.14786, section 2): patches row by
 * row, and in each rows, columns, then channels.
 */
function cutRaster(
  [picture]: readonly Uint8Array[],
  { rows, columns }: Grid,
  config: NativeConfig,
): Float32Array {
  const { patch_size: p, merge_size: m } = config;
  const tables = lookupTables(config);
  const width = columns * m * p;
  const out = new Float32Array(picture!.length);
  let at = 0;
  for (let top = 0; top < rows * m * p; top += p)
    for (let left = 0; left < width; left += p)
      for (let y = top; y < top + p; y++)
        for (let i = (y * width + left) * 3; i < (y * width + left + p) * 3; i++)
          out[at++] = tables[i % 3]![picture![i]!]!;
  return out;
}
