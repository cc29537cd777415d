import type { Family } from './family.js';
import { llava } from './llava.js';

/** nanoLLaVA, by the key of its own code; its exports for transformers.js may also say llava. */
export const nanollava: Family = {
  ...llava,
  name: 'nanollava',
  modelTypes: ['llava-qwen2'],
  mix: { vision: 'fp16', embed: 'fp16', decoder: 'q4f16' },
};
