import type { Family } from './family.js';

/** LLaVA 1.5 and what follows its layout (arXiv 2310.03744). */
export const llava: Family = {
  name: 'llava',
  modelTypes: ['llava'],
  order: 'compress-project',
  frames: 'images',
  newline: 'none',
  defaultFrames: { frames: 8 },
};
