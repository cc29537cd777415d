import type { Grid } from '../pool.js';
import type { PromptPart, ShownVideo } from '../types.js';
import type { Family } from './family.js';
import { llava } from './llava.js';

/**
 * SmolVLM2 (arXiv 2504.05299). Its connector makes one token of s × s patches, by shuffling them into channels. So VisionZip works
 * behind it, which is ours and not the paper's: half of the tokens are kept by default, as behind other mergers, see `qwen2Vl`.
 */
export const smolvlm: Family = {
  ...llava,
  name: 'smolvlm',
  modelTypes: ['smolvlm'],
  order: 'project-compress',
  frames: 'sentences',
  crops: 'apart',
  keeps: 1 / 2,
  mix: { vision: 'q4', embed: 'fp16', decoder: 'q4' },
};

/** SmolVLM, the first (arXiv 2504.05299): it knows no video, frames are pictures that are not split. */
export const idefics3: Family = { ...smolvlm, name: 'idefics3', modelTypes: ['idefics3'], frames: 'wrapped' };

/** What SmolVLM2's processor makes of a video: how many frames of how long a video, and the time of each. */
export function describeInSentences({ ptsSeconds, durationSeconds }: ShownVideo): PromptPart[] {
  const count = inWords(ptsSeconds.length);
  return [
    text(
      `You are provided the following series of ${count} frames from a ${hours(durationSeconds)} [H:MM:SS] video.\n`,
    ),
    ...ptsSeconds.flatMap((pts): PromptPart[] => [
      text(`\nFrame from ${minutes(pts)}:${BEFORE}`),
      { type: 'image' },
      text(AFTER),
    ]),
    text('\n\n'),
  ];
}

const text = (words: string): PromptPart => ({ type: 'text', text: words });

const [BEFORE, AFTER] = ['<fake_token_around_image><global-img>', '<fake_token_around_image>'];

/**
 * What the processor of either version makes of pictures, once the template has put `<image>` in their places. A picture that
 * is split has one `<image>` for each crop of its grid, and the last for the whole.
 */
export function wrapPictures(prompt: string, { rows, columns }: Grid = { rows: 0, columns: 0 }): string {
  const row = (y: number) =>
    Array.from({ length: columns }, (_, x) => `${AFTER}<row_${y + 1}_col_${x + 1}><image>`).join('');
  const crops = Array.from({ length: rows }, (_, y) => `${row(y)}\n`).join('');
  const whole = `${BEFORE}<image>${AFTER}`;
  return prompt.replaceAll('<image>', rows > 0 ? `${crops}\n${whole}` : whole);
}

/** 75.9 → 01:15 */
function minutes(seconds: number): string {
  const whole = Math.floor(seconds);
  return [Math.floor(whole / 60), whole % 60].map((part) => String(part).padStart(2, '0')).join(':');
}

/** 75.9 → 0:01:15 */
function hours(seconds: number): string {
  return `${Math.floor(seconds / 3600)}:${minutes(seconds % 3600)}`;
}

const SMALL =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen ' +
  'seventeen eighteen nineteen';
const TENS = 'twenty thirty forty fifty sixty seventy eighty ninety';

/** A number below 1,000 in English words, as SmolVLM was trained to read it. */
function inWords(count: number): string {
  if (count < 20) return SMALL.split(' ')[count]!;
  if (count >= 1000) return String(count);
  if (count >= 100) {
    const rest = count % 100 === 0 ? '' : ` and ${inWords(count % 100)}`;
    return `${inWords(Math.floor(count / 100))} hundred${rest}`;
  }
  const tens = TENS.split(' ')[Math.floor(count / 10) - 2]!;
  return count % 10 === 0 ? tens : `${tens}-${inWords(count % 10)}`;
}
