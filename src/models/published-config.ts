import { z } from 'zod';
import { InputError } from '../errors.js';
import { resolutionsSchema } from './preprocessor-config.js';

const size = z.int().positive().nullish();
/** Of the language model; in older files, Qwen2-VL's, they stand beside the others. */
const textSettings = {
  max_position_embeddings: size,
  hidden_size: size,
  num_attention_heads: size,
  num_key_value_heads: size,
  head_dim: size,
};

/** What of a published config.json the preparation reads. */
export const publishedConfigSchema = z.looseObject({
  model_type: z.string(),
  ...textSettings,
  vision_feature_layer: z.int('expected one layer').nullish(),
  image_grid_pinpoints: resolutionsSchema,
  vision_config: z.looseObject({ tokens_per_second: z.number().positive().nullish() }).nullish(),
  text_config: z.looseObject({ model_type: z.string().nullish(), ...textSettings }).nullish(),
});
export type PublishedConfig = z.output<typeof publishedConfigSchema>;

/** Kinds of layers, in `layer_types`, without keys and values: they keep a state of one size. */
export const CACHELESS_LAYERS: readonly string[] = ['linear_attention', 'conv'];

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
