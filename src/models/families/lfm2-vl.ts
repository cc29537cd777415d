import type { Family } from './family.js';
import { llava } from './llava.js';

/**
 * LFM2-VL and LFM2.5-VL (arXiv 2511.23404): a SigLIP 2 tower that takes pictures in their own proportions, and a connector that
 * makes one token of 2 × 2 patches. So VisionZip works behind it, which is ours and not the paper's: half of the tokens are kept by
 * default, as behind other mergers, see `qwen2Vl`. It knows no video: a frame is a picture that is not cut into tiles.
 */
export const lfm2Vl: Family = {
  ...llava,
  name: 'lfm2_vl',
  modelTypes: ['lfm2_vl', 'lfm2-vl'],
  order: 'project-compress',
  frames: 'marked',
  still: 'image',
  native: { gridInput: 'spatial_shapes', pixelsOf: 'frame' },
  mix: { vision: 'fp16', embed: 'fp16', decoder: 'q4' },
  keeps: 1 / 2,
};

/** What LFM2-VL's processor makes of pictures that are not cut into tiles, once the template has put `<image>` in their places. */
export function markPictures(prompt: string): string {
  return prompt.replaceAll('<image>', '<|image_start|><image><|image_end|>');
}
