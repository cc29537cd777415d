import { z } from 'zod';

const edge = z.int().positive();
const sizeSchema = z.union([
  edge,
  z.object({ shortest_edge: edge }),
  z.object({ height: edge, width: edge }),
  z.object({ longest_edge: edge }),
]);
/** LLaVA-NeXT: heights and widths that a still picture is brought to before it is cut into crops. */
export const resolutionsSchema = z.array(z.tuple([edge, edge])).nullish();
const channels = z.tuple([z.number(), z.number(), z.number()]);
const deviation = z.number().positive();
const deviations = z.tuple([deviation, deviation, deviation]);

/** From levels of 0 to 255 to what the tower reads. */
export const normalisationSchema = z.object({
  /** Pillow's filter: 1 Lanczos, 2 bilinear, 3 bicubic. */
  resample: z.union([z.literal(1), z.literal(2), z.literal(3)]).default(3),
  do_rescale: z.boolean().default(true),
  rescale_factor: z.number().default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: channels,
  image_std: deviations,
});
export type Normalisation = z.infer<typeof normalisationSchema>;

/**
 * What counts of a preprocessor_config.json as CLIPImageProcessor and SiglipImageProcessor write it; the
 * rest is passed over, since published files carry much else.
 */
export const preprocessorConfigSchema = z.looseObject({
  image_processor_type: z.string().default('CLIPImageProcessor'),
  do_resize: z.boolean().default(true),
  size: sizeSchema,
  ...normalisationSchema.shape,
  /** Default: whether there is a `crop_size`. */
  do_center_crop: z.boolean().nullish(),
  crop_size: z.union([edge, z.object({ height: edge, width: edge })]).nullish(),
  /**
   * Pads to a square with the mean colour, but for LlavaImageProcessor alone: elsewhere the name means
   * batches.
   */
  do_pad: z.boolean().nullish(),
  /** SmolVLM: the square that the encoder takes; `size` is that of a picture before it is split. */
  max_image_size: z.object({ longest_edge: edge }).nullish(),
  /** SmolVLM: whether a still picture is cut into crops. */
  do_image_splitting: z.boolean().nullish(),
  image_grid_pinpoints: resolutionsSchema,
  /** SmolVLM2: how it samples a video. */
  video_sampling: z.object({ fps: z.number().positive().default(1), max_frames: edge }).nullish(),
});
/** The same in the settings of a video processor, where it samples. */
export const videoSamplingSchema = z
  .looseObject({
    do_sample_frames: z.literal(true),
    fps: z.number().positive().nullish(),
    num_frames: edge.nullish(),
    max_frames: edge.nullish(),
  })
  .transform(({ fps, num_frames, max_frames }, context) => {
    const most = max_frames ?? num_frames;
    if (most) return { fps: fps ?? 1, max_frames: most };
    context.addIssue({ code: 'custom', message: 'says of no most frames' });
    return z.NEVER;
  });

export type PreprocessorConfig = z.infer<typeof preprocessorConfigSchema>;
