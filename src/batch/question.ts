import { letterOf } from '../pipeline/questions.js';
import type { Wording } from './presets/preset.js';

const plainWording: Wording = { behind: 'Answer with the letter of the right option.' };

/** What is asked, with the options that there are in lines of their own. */
export function wordQuestion(
  question: string,
  options?: readonly string[],
  wording: Wording = options ? plainWording : {},
): string {
  const {
    before,
    heading,
    option = (letter: string, text: string) => `${letter}. ${text}`,
    behind,
  } = wording;
  const lines = (options ?? []).map((text, place) => option(letterOf(place), text));
  return [before, wording.question?.(question) ?? question, heading, ...lines, behind]
    .filter((line) => line !== undefined)
    .join('\n');
}
