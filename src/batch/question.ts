import { letterOf } from '../pipeline/questions.js';
import type { Question } from '../pipeline/types.js';
import type { Wording } from './presets/preset.js';

/** What is asked in the words of a benchmark, with the options that there are in lines of their own; without, as it stands. */
export function wordQuestion(question: string, options?: readonly string[], wording?: Wording): Question {
  if (!wording) return options ? { question, options } : question;
  const {
    before,
    heading,
    option = (letter: string, text: string) => `${letter}. ${text}`,
    behind,
  } = wording;
  const lines = (options ?? []).map((text, place) => option(letterOf(place), text));
  const worded = [before, wording.question?.(question) ?? question, heading, ...lines, behind]
    .filter((line) => line !== undefined)
    .join('\n');
  return options ? { question: worded, options, showsOptions: true } : worded;
}
