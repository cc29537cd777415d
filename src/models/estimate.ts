import { z } from 'zod';
import { framesAtOnce } from './batch.js';
import { type Part, type PartDtypes, parts } from './layout.js';
import { attentionBytes, type CacheShape, heldBytes, promptBytes } from './memory.js';
import { CACHELESS_LAYERS } from './published-config.js';

/** What a model adds to its process, about, before anything of its graphs was seen. */
export interface MemoryEstimate {
  /** Weights once they are loaded. */
  readonly weightBytes: number;
  /** The cache of a usual prompt. */
  readonly cacheBytes: number;
  /** What the vision tower computes with. */
  readonly towerBytes: number;
  readonly totalBytes: number;
}

/** An estimate refuses nothing: what is not as expected is as if it were not there. */
const count = z.int().positive().nullish().catch(null);
const edge = z.int().positive();
const side = z
  .union([edge, z.tuple([edge, edge]).transform((edges) => Math.max(...edges))])
  .nullish()
  .catch(null);
const decoderSchema = z.object({
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: count,
  head_dim: count,
  max_position_embeddings: count,
  /** Where only some of the layers attend, and so have a cache. */
  layer_types: z.array(z.string()).nullish().catch(null),
  full_attention_interval: count,
});
const configSchema = decoderSchema.extend({
  text_config: decoderSchema.nullish().catch(null),
  vision_config: z
    .object({ image_size: side, patch_size: side, hidden_size: count, architecture: z.string().nullish() })
    .nullish()
    .catch(null),
  mm_vision_tower: z.string().nullish().catch(null),
  /** Tokens of a picture. */
  image_seq_length: count,
});
type Config = z.output<typeof configSchema>;

/** What transformers' configuration of Llama takes, and with it those of LLaVA-1.5, which say nothing. */
const LLAMA = { layers: 32, width: 4096, heads: 32, contextLength: 2048 };
/** Of a tower that takes pictures of any size: patches of a usual frame, and its width. */
const USUAL_PATCHES = 1024;
const USUAL_WIDTH = 1152;
/** Of a convolutional tower, as measured on FastVLM's: its pictures have this edge, and a token for each 64 × 64 pixels. */
const BYTES_A_PIXEL = 460;
const CONVOLUTIONAL_EDGE = 1024;
const CONVOLUTIONAL_STRIDE = 64;

/**
 * From config.json and the sizes of the files that were chosen: the weights, the cache of a usual prompt, and what the tower
 * needs for the frames that it takes at once. `model inspect` says it again from the graphs.
 */
export function estimateMemory(
  config: unknown,
  dtypes: PartDtypes,
  fileBytes: Readonly<Record<Part, number>>,
): MemoryEstimate {
  const read = configSchema.safeParse(config).data ?? {};
  const text = read.text_config ?? read;
  const weightBytes = parts.reduce((sum, part) => sum + heldBytes(part, dtypes[part], fileBytes[part]), 0);
  const contextLength = text.max_position_embeddings ?? read.max_position_embeddings ?? LLAMA.contextLength;
  const cacheBytes = promptBytes(cacheShape(text), contextLength);
  const towerBytes = towerBytesOf(read);
  return { weightBytes, cacheBytes, towerBytes, totalBytes: weightBytes + cacheBytes + towerBytes };
}

function cacheShape(text: Partial<z.output<typeof decoderSchema>>): CacheShape {
  const heads = text.num_attention_heads ?? LLAMA.heads;
  return {
    layers: attendingLayers(text),
    kvHeads: text.num_key_value_heads ?? heads,
    headWidth: text.head_dim ?? Math.floor((text.hidden_size ?? LLAMA.width) / heads),
  };
}

/** Layers with a cache that grows. */
function attendingLayers({
  num_hidden_layers,
  layer_types,
  full_attention_interval,
}: Partial<z.output<typeof decoderSchema>>): number {
  if (layer_types) return layer_types.filter((type) => !CACHELESS_LAYERS.includes(type)).length;
  const layers = num_hidden_layers ?? LLAMA.layers;
  return full_attention_interval ? Math.floor(layers / full_attention_interval) : layers;
}

function towerBytesOf({ vision_config, mm_vision_tower, image_seq_length }: Partial<Config>): number {
  const tower = mm_vision_tower ?? vision_config?.architecture ?? '';
  if (/mobileclip|fastvit/.test(tower)) {
    return framesAtOnce * pixelsOf(tower, image_seq_length) * BYTES_A_PIXEL;
  }
  const { image_size, patch_size, hidden_size } = vision_config ?? {};
  const patches = image_size && patch_size ? Math.floor(image_size / patch_size) ** 2 : USUAL_PATCHES;
  return attentionBytes(patches, hidden_size ?? USUAL_WIDTH);
}

/** Of a picture in a convolutional tower, by the name of the tower or by its tokens. */
function pixelsOf(tower: string, tokens: number | null | undefined): number {
  const [, edge] = /_(\d{3,4})$/.exec(tower) ?? [];
  if (edge) return Number(edge) ** 2;
  return tokens ? tokens * CONVOLUTIONAL_STRIDE ** 2 : CONVOLUTIONAL_EDGE ** 2;
}
