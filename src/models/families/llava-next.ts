import type { Family } from './family.js';
import { llava } from './llava.js';

/** LLaVA-NeXT. A video frame is one crop; its newline comes behind every frame, as behind a picture of one crop. */
export const llavaNext: Family = {
  ...llava,
  name: 'llava_next',
  modelTypes: ['llava_next'],
  newline: 'after-frame',
  crops: 'together',
};
