import { z } from 'zod';
import { InputError } from '../../errors.js';
import type { Manifest } from '../manifest.js';
import { resolutionsSchema } from '../preprocessor-config.js';

/** What of a published config.json the preparation reads. */
export const publishedConfigSchema = z.looseObject({
  model_type: z.string(),
  max_position_embeddings: z.int().positive().nullish(),
  vision_feature_layer: z.int('expected one layer').nullish(),
  image_grid_pinpoints: resolutionsSchema,
  text_config: z
    .looseObject({
      model_type: z.string().nullish(),
      max_position_embeddings: z.int().positive().nullish(),
      hidden_size: z.int().positive().nullish(),
      num_attention_heads: z.int().positive().nullish(),
      num_key_value_heads: z.int().positive().nullish(),
      head_dim: z.int().positive().nullish(),
    })
    .nullish(),
});
export type PublishedConfig = z.output<typeof publishedConfigSchema>;

/** What transformers' configuration classes take where config.json says nothing. */
const defaultContext: Readonly<Record<string, number>> = { llama: 2048, qwen2: 32_768, mistral: 131_072 };

/** Tokens that the language model can look back on. Throws an InputError where nothing says how many. */
export function contextLength({ max_position_embeddings, text_config }: PublishedConfig): number {
  const kind = text_config?.model_type ?? 'llama';
  const length = text_config?.max_position_embeddings ?? max_position_embeddings ?? defaultContext[kind];
  if (length) return length;
  throw new InputError(
    `config.json must say \`max_position_embeddings\`: it does not, and no default is known for "${kind}"`,
  );
}

/** How a family shows a video to its language model. */
export interface Family {
  readonly name: string;
  /** `project-pool-compress`: all tokens are projected, and a frame's grid is pooled, before any is left out. */
  readonly order: Manifest['order'];
  /** Where the frames go in the chat: an image each, one video, or sentences with a time and an image each. */
  readonly frames: Manifest['frames'];
  readonly newline: 'none' | 'after-frame' | 'after-video';
  /** Whether a still picture is looked at in several crops. */
  readonly crops?: true;
  readonly frameCount: number;
}

const llava: Family = {
  name: 'llava',
  order: 'compress-project',
  frames: 'images',
  newline: 'none',
  frameCount: 8,
};

/** By `model_type`. */
const families: Readonly<Record<string, Family>> = {
  llava,
  // A video frame is one crop; its newline comes behind every frame, as behind a picture of one crop.
  llava_next: { ...llava, name: 'llava_next', newline: 'after-frame', crops: true },
  video_llava: { ...llava, name: 'video_llava', frames: 'video' },
  llava_onevision: {
    ...llava,
    name: 'llava_onevision',
    order: 'project-pool-compress',
    frames: 'video',
    newline: 'after-video',
  },
  // Patches of a CLIP tower that took what a convolutional tower saw of them: one encoder with both inside.
  mgm: { ...llava, name: 'mini_gemini' },
  // Its tower is convolutional at its end. The second is the key of its own code.
  fast_vlm: { ...llava, name: 'fast_vlm' },
  llava_qwen2: { ...llava, name: 'fast_vlm' },
  // The key of nanoLLaVA's own code; its exports for transformers.js may also say llava.
  'llava-qwen2': { ...llava, name: 'nanollava' },
  // The connector shuffles pixels of neighbouring tokens into channels: nothing can be left out before it.
  smolvlm: { ...llava, name: 'smolvlm', order: 'project', frames: 'sentences' },
};

/** Throws an InputError that says what was looked for and what was found. */
export function findFamily(modelType: string): Family {
  const family = families[modelType];
  if (family) return family;
  throw new InputError(
    `config.json must have a \`model_type\` of ${Object.keys(families).join(', ')}; it has "${modelType}"`,
  );
}
