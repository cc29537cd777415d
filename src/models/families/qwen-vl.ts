import type { Family } from './family.js';
import { llava } from './llava.js';

/**
 * Qwen2-VL (arXiv 2409.12191): pictures in their own proportions, frames in pairs, and a merger that makes one token of 2 × 2
 * patches. What VisionZip's authors published for such a model (their code for Qwen2.5-VL, May 2025) works behind the merger and
 * on pictures; here every pair of frames is treated so. Half of the tokens are kept by default, the smaller of the two budgets that
 * they give figures for: the merger compresses already, and what is left is less redundant (OCRBench 81.5 → 80.9 with 70 %, 70.5
 * with 50 %). The number of frames is the makers': two a second, 4 to 768 of them. Of the types the tower's stays float16: its
 * published q4 leaves most products in float32, and is larger.
 */
export const qwen2Vl: Family = {
  ...llava,
  name: 'qwen2_vl',
  modelTypes: ['qwen2_vl'],
  order: 'project-compress',
  frames: 'video',
  still: 'image',
  native: { gridInput: 'grid_thw', pixelsOf: 'frame' },
  rope: 'groups',
  keeps: 1 / 2,
  mix: { vision: 'fp16', embed: 'fp16', decoder: 'q4' },
  defaultFrames: { frames: 4, mostFrames: 768, framesPerSecond: 2 },
};

/** Qwen2.5-VL (arXiv 2502.13923): attention in windows but for a few layers, the last among them; the time in seconds. */
export const qwen25Vl: Family = {
  ...qwen2Vl,
  name: 'qwen2_5_vl',
  modelTypes: ['qwen2_5_vl'],
  native: { gridInput: 'image_grid_thw', pixelsOf: 'frame' },
  rope: 'seconds',
};

/** Qwen3-VL (arXiv 2511.21631): each pair of frames stands behind its time in words; with DeepStack where the export has it. */
export const qwen3Vl: Family = {
  ...qwen25Vl,
  name: 'qwen3_vl',
  modelTypes: ['qwen3_vl'],
  frames: 'timed',
  native: { gridInput: 'image_grid_thw', pixelsOf: 'video' },
  rope: 'none',
};

/** Qwen3.5: Qwen3-VL's way with pictures before a decoder most of whose layers are recurrent. */
export const qwen35: Family = { ...qwen3Vl, name: 'qwen3_5', modelTypes: ['qwen3_5'] };

/** The tokens around a video in a prompt. */
export interface VideoMarks {
  readonly start: string;
  readonly video: string;
  readonly end: string;
}

/** What Qwen3-VL's processor makes of a video's place in a prompt: the time of each group of frames, and a place for it. */
export function tellTimes(prompt: string, marks: VideoMarks, ptsSeconds: readonly number[]): string {
  const { start, video, end } = marks;
  const place = `${start}${video}${end}`;
  return prompt.replace(
    place,
    ptsSeconds.map((seconds) => `<${oneDecimal(seconds)} seconds>${place}`).join(''),
  );
}

/** As Python formats: the half goes to the even digit, which for one decimal matters at .25 alone. */
export function oneDecimal(seconds: number): string {
  return (seconds % 1 === 0.25 ? seconds - 0.05 : seconds).toFixed(1);
}
