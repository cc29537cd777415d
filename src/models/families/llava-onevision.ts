import type { Family } from './family.js';
import { llava } from './llava.js';

/**
 * LLaVA-OneVision (arXiv 2408.03326, section 3.2): a frame's tokens are projected and pooled before any is left out; it was
 * trained on up to 32 frames of a video.
 */
export const llavaOnevision: Family = {
  ...llava,
  name: 'llava_onevision',
  modelTypes: ['llava_onevision'],
  order: 'project-pool-compress',
  frames: 'video',
  newline: 'after-video',
  defaultFrames: { frames: 8, mostFrames: 32 },
};
