import { bareOptions, letterOf } from '../../pipeline/questions.js';
import { findOptions } from '../choices.js';
import { extractChoice, findOption, readWhole } from './extract-choice.js';
import { normaliseAnswer } from './normalise-answer.js';

/** A row of answers as far as it is scored. */
export interface ScorableRow {
  /** What the model said; null where it said nothing. */
  readonly prediction: string | null;
  /** The true answer: a text, a number, yes or no as a boolean, or several of them, each of which is right. */
  readonly answer: unknown;
  /** Of a question with options: their texts in order, or an object from letters to texts. */
  readonly options?: unknown;
  /** `letter` where an answer that is an option's letter is that and nothing else, as `readAnswer` gives it. */
  readonly answerIs?: 'letter';
}

/**
 * Whether a prediction is right; null where that cannot be said: nothing was predicted, no true answer is known, or the true answer
 * is none of the options. An open answer is right where it is the true one but for its form (`normaliseAnswer`); a choice where it is
 * the right option (`extractChoice`), and wrong where it chooses none.
 */
export function scoreRow({ prediction, answer, options, answerIs }: ScorableRow): boolean | null {
  if (prediction === null) return null;
  const truths = (Array.isArray(answer) ? answer : [answer]).filter(isAnswer);
  const choices = findOptions(options);
  if (choices === null) {
    const said = normaliseAnswer(prediction);
    const right = truths.flatMap(readingsOf).map(normaliseAnswer);
    return right.length === 0 ? null : right.includes(said);
  }
  const letters = answerIs === 'letter' ? choices.map((_, i) => letterOf(i)) : [];
  const right = truths
    .map((truth) =>
      letters.includes(textOf(truth)) ? letters.indexOf(textOf(truth)) : resolveOption(truth, choices),
    )
    .filter((index) => index !== null);
  if (right.length === 0) return null;
  const chosen = extractChoice(prediction, choices);
  return chosen !== null && right.includes(chosen);
}

/**
 * Which option is the true one, by the way in which benchmarks write it: its text (MVBench), its letter (Video-MME), or its index
 * from 0 (NExT-QA, EgoSchema), in this order; null where it is none of them.
 */
export function resolveOption(answer: string | number | boolean, options: readonly string[]): number | null {
  const text = textOf(answer);
  const bare = bareOptions(options);
  const found = findOption(text, bare) ?? findOption(text, options) ?? readWhole(text, bare);
  if (found !== null) return found;
  const index = /^\d+$/.test(text.trim()) ? Number(text) : options.length;
  return index < options.length ? index : null;
}

function isAnswer(value: unknown): value is string | number | boolean {
  return (typeof value === 'string' && value.trim() !== '') || ['number', 'boolean'].includes(typeof value);
}

/** `True` is yes, also in a table that knows texts alone; there it may be the text, too. */
function readingsOf(answer: string | number | boolean): string[] {
  const text = String(answer).trim().toLowerCase();
  return text === 'true' ? ['yes', text] : text === 'false' ? ['no', text] : [textOf(answer)];
}

function textOf(answer: string | number | boolean): string {
  if (typeof answer === 'boolean') return answer ? 'yes' : 'no';
  return String(answer);
}
