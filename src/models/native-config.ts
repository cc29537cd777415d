import { z } from 'zod';
import type { Manifest } from './manifest.js';
import { normalisationSchema } from './preprocessor-config.js';

const count = z.int().positive();

/** See the manifest. */
export type NativeTower = NonNullable<Manifest['tower']['native']>;

/**
 * What counts of the configuration of Qwen2-VL's image processor, its video processor and their successors'. Older files say
 * `min_pixels` and `max_pixels`, newer ones `size`, whose "edges" are numbers of pixels, too.
 */
export const nativeConfigSchema = z
  .looseObject({
    ...normalisationSchema.shape,
    min_pixels: count.nullish(),
    max_pixels: count.nullish(),
    size: z.looseObject({ shortest_edge: count.nullish(), longest_edge: count.nullish() }).nullish(),
    patch_size: count,
    merge_size: count,
    temporal_patch_size: count,
    /** Of a video processor: whether a frame gets at most `max_video_tokens`, as the makers' own code has it. */
    cap_pixels_per_frame: z.boolean().nullish(),
    fps: z.number().positive().nullish(),
    min_frames: count.nullish(),
    max_frames: count.nullish(),
  })
  .transform(({ min_pixels, max_pixels, size, ...rest }, context) => {
    const [least, most] = [min_pixels ?? size?.shortest_edge, max_pixels ?? size?.longest_edge];
    if (least && most && least <= most) return { ...rest, least, most };
    context.addIssue({
      code: 'custom',
      message: 'expected `size` with `shortest_edge` and `longest_edge`, or `min_pixels` and `max_pixels`',
    });
    return z.NEVER;
  });

/**
 * The same of LFM2-VL's image processor, with its defaults: it counts tokens and not pixels, and takes pictures one by one. What
 * it says of tiles is passed over.
 */
export const shapesConfigSchema = z
  .looseObject({
    ...normalisationSchema.shape,
    resample: normalisationSchema.shape.resample.default(2),
    encoder_patch_size: count.default(16),
    downsample_factor: count.default(2),
    min_image_tokens: count.default(64),
    max_image_tokens: count.default(256),
  })
  .transform(
    ({ encoder_patch_size: patch_size, downsample_factor: merge_size, ...rest }, context): NativeConfig => {
      const { min_image_tokens: min, max_image_tokens: max } = rest;
      const message = `expected at least the ${min} of \`min_image_tokens\`, got ${max}`;
      if (max < min) context.addIssue({ code: 'custom', path: ['max_image_tokens'], message });
      const pixels = (patch_size * merge_size) ** 2;
      const [least, most] = [min * pixels, max * pixels];
      const sizes = { patch_size, merge_size, temporal_patch_size: 1, least, most };
      return { ...rest, ...sizes, cap_pixels_per_frame: false };
    },
  );

/** How pictures of one kind are prepared. `least` and `most` are pixels. */
export type NativeConfig = z.output<typeof nativeConfigSchema>;
