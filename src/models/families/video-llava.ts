import type { Family } from './family.js';
import { llava } from './llava.js';

/** Video-LLaVA (arXiv 2311.10122): eight frames, shown as one video. */
export const videoLlava: Family = {
  ...llava,
  name: 'video_llava',
  modelTypes: ['video_llava'],
  frames: 'video',
};
