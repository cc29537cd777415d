import { describe, expect, it } from 'vitest';
import { estimateMemory } from '../src/models/estimate.js';

const dtypes = { vision: 'q4', embed: 'fp16', decoder: 'q4' } as const;
const files = { vision: 200, embed: 100, decoder: 300 };

describe('the memory that a model will take, from its config.json and its files', () => {
  it('is weights, cache and tower together', () => {
    // LLaVA-OneVision-0.5B.
    const config = {
      text_config: {
        ...{ hidden_size: 896, num_attention_heads: 14, num_hidden_layers: 24, num_key_value_heads: 2 },
        max_position_embeddings: 32_768,
      },
      vision_config: { hidden_size: 1152, image_size: 384, patch_size: 14 },
    };
    const { weightBytes, cacheBytes, towerBytes, totalBytes } = estimateMemory(config, dtypes, files);
    expect(weightBytes).toBe(600);
    // Twice 2,048 tokens × keys and values × 24 layers × 2 heads × 64 numbers × 4 bytes.
    expect(cacheBytes).toBe(2 * 2048 * 2 * 24 * 2 * 64 * 4);
    // 4 frames of 27 × 27 patches, the attention of 16 heads and 8 tensors as wide as the tower.
    expect(towerBytes).toBe(4 * 729 * (729 * 16 + 1152 * 8) * 4);
    expect(totalBytes).toBe(weightBytes + cacheBytes + towerBytes);
  });

  it('takes weights as they are held', () => {
    const all = { vision: 'fp16', embed: 'fp16', decoder: 'fp16' } as const;
    expect(estimateMemory({}, all, files).weightBytes).toBe(400 + 100 + 600);
  });

  it('counts the layers that attend, whichever way the file tells them', () => {
    const text = { hidden_size: 64, num_attention_heads: 2, num_hidden_layers: 8, head_dim: 32 };
    const bytes = (more: object) =>
      estimateMemory({ text_config: { ...text, ...more } }, dtypes, files).cacheBytes;
    const layer = bytes({ num_hidden_layers: 1 });
    expect(bytes({})).toBe(8 * layer);
    expect(bytes({ full_attention_interval: 4 })).toBe(2 * layer);
    const layer_types = ['linear_attention', 'linear_attention', 'full_attention', 'sliding_attention'];
    expect(bytes({ layer_types })).toBe(2 * layer);
    expect(bytes({ num_key_value_heads: 1 })).toBe(4 * layer);
  });

  it('knows a decoder that stands in the file itself, and a convolutional tower', () => {
    // FastVLM, as its converters write it: measured were 1.8 GiB for four frames.
    const config = {
      ...{ hidden_size: 896, num_attention_heads: 14, num_hidden_layers: 24, num_key_value_heads: 2 },
      ...{ max_position_embeddings: 32_768, mm_vision_tower: 'mobileclip_l_1024', vision_config: {} },
    };
    const { cacheBytes, towerBytes } = estimateMemory(config, dtypes, files);
    expect(cacheBytes).toBe(2 * 2048 * 2 * 24 * 2 * 64 * 4);
    expect(towerBytes / 2 ** 30).toBeCloseTo(1.8, 1);
    const converted = { vision_config: { architecture: 'fastvit_mci3' }, image_seq_length: 256 };
    expect(estimateMemory(converted, dtypes, files).towerBytes).toBe(towerBytes);
  });

  it('is of LLaVA-1.5 where a file says nothing, and refuses no file', () => {
    // Vicuna-7B: 32 layers, 32 heads of 128.
    const vicuna = 2 * 2048 * 2 * 32 * 32 * 128 * 4;
    for (const config of [
      {},
      null,
      { text_config: 7, vision_config: [] },
      { vision_config: { image_size: 'x' } },
    ])
      expect(estimateMemory(config, dtypes, files).cacheBytes).toBe(vicuna);
    const wide = { vision_config: { image_size: [336, 672], patch_size: 14, hidden_size: 1024 } };
    expect(estimateMemory(wide, dtypes, files).towerBytes).toBe(4 * 48 ** 2 * (48 ** 2 * 16 + 1024 * 8) * 4);
  });
});
