import type { Family } from './family.js';
import { llava } from './llava.js';

/** FastVLM, whose tower is convolutional at its end. The second type is the key of its own code. */
export const fastVlm: Family = {
  ...llava,
  name: 'fast_vlm',
  modelTypes: ['fast_vlm', 'llava_qwen2'],
  mix: { vision: 'q4', embed: 'fp16', decoder: 'q4' },
};
