import { describe, expect, it } from 'vitest';
import { heldBytes, promptBytes, tokenBytes } from '../src/models/memory.js';

describe('the memory of a model', () => {
  it('holds weights in float16 twice, but for an embedding, which is only looked up', () => {
    expect(heldBytes('vision', 'fp16', 10)).toBe(20);
    expect(heldBytes('decoder', 'fp16', 10)).toBe(20);
    expect(heldBytes('embed', 'fp16', 10)).toBe(10);
    for (const dtype of ['fp32', 'int8', 'q4', 'q4f16'] as const)
      expect(heldBytes('decoder', dtype, 10)).toBe(10);
  });

  it('holds the cache of a usual prompt twice, or of a whole context that is shorter', () => {
    // Keys and values, 3 layers × 2 heads × 4 numbers × 4 bytes.
    const shape = { layers: 3, kvHeads: 2, headWidth: 4 };
    expect(tokenBytes(shape)).toBe(192);
    expect(promptBytes(shape, 32_768)).toBe(2 * 2048 * 192);
    expect(promptBytes(shape, 100)).toBe(2 * 100 * 192);
  });
});
