import type { Family } from './family.js';
import { llava } from './llava.js';

/** Mini-Gemini: patches of a CLIP tower that took what a convolutional tower saw of them, one encoder with both inside. */
export const miniGemini: Family = { ...llava, name: 'mini_gemini', modelTypes: ['mgm'] };
