import type { Family } from './family.js';
import { llava } from './llava.js';

/**
 * LLaVA-OneVision (arXiv 2408.03326, section 3.2): a frame's tokens are projected and pooled before any is left out; it was
 * trained on up to 32 frames of a video. Half of the tokens are kept by default: pooling has taken three of four already, and what is
 * left is less redundant (at 25 % VisionZip keeps 99.7 % of the score, at 10 % 91.6: HoliTom, arXiv 2505.21334).
 */
export const llavaOnevision: Family = {
  ...llava,
  name: 'llava_onevision',
  modelTypes: ['llava_onevision'],
  order: 'project-pool-compress',
  frames: 'video',
  newline: 'after-video',
  keeps: 1 / 2,
  defaultFrames: { frames: 8, mostFrames: 32 },
};
