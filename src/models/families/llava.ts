import type { Family } from './family.js';

/**
 * LLaVA 1.5 and what follows its layout (arXiv 2310.03744). By default 64 of 576 tokens are kept, VisionZip's smallest budget
 * for it: 94.0 % of the uncompressed score untrained (arXiv 2412.04467, table 1), and most room for frames.
 */
export const llava: Family = {
  name: 'llava',
  modelTypes: ['llava'],
  order: 'compress-project',
  frames: 'images',
  newline: 'none',
  keeps: 1 / 9,
  defaultFrames: { frames: 8 },
};
