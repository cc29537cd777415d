import { InputError } from '../errors.js';
import type { ChoiceQuestion, Question } from './types.js';

/** Options of a question: as many as there are letters. */
export const mostOptions = 26;

/** "A" for 0, "B" for 1. */
export function letterOf(index: number): string {
  return String.fromCharCode(65 + index);
}

/** "B. blue" for the letter of an option; anything else as it is. */
export function spellOption(text: string, options: readonly string[] | null | undefined): string {
  const option = bareOptions(options ?? []).find((_, i) => letterOf(i) === text);
  return option === undefined ? text : `${text}. ${option}`;
}

export function textOf(question: Question): string {
  return typeof question === 'string' ? question : question.question;
}

/** Equal for the same question with the same options; an answer has both fields, too. */
export function nameQuestion(question: string | Partial<ChoiceQuestion>): string {
  if (typeof question === 'string') return JSON.stringify([question]);
  return JSON.stringify([question.question, ...(question.options ?? [])]);
}

/**
 * What is asked of a model that is to choose: the sentence that lmms-eval ends such questions with; LLaVA-1.5 was trained with it
 * (arXiv 2310.03744, "response format prompting"; from memory).
 */
export const letterAlone = "Answer with the option's letter from the given choices directly.";

/**
 * A question as the chat is given it. With options: the question, a line for each option behind its letter, and `letterAlone`.
 *
 * @throws InputError for fewer than 2 options or more than there are letters, and for one without text.
 */
export function renderQuestion(question: Question): string {
  if (typeof question === 'string') return question;
  refuseOptions(question.options);
  if (question.showsOptions) return question.question;
  const lines = bareOptions(question.options).map((option, i) => `${letterOf(i)}. ${option}`);
  return [question.question.trim(), ...lines, letterAlone].join('\n');
}

/** The options without their letters, where each begins with its own, as some benchmarks write them: "B. red". */
export function bareOptions(options: readonly string[]): string[] {
  const bare = options.map((option, i) => {
    const [, letter, text] = /^\s*\(?([A-Z])[.):]\)?\s*(\S[\s\S]*)$/.exec(option) ?? [];
    return letter === letterOf(i) ? text!.trim() : undefined;
  });
  if (bare.every((option) => option !== undefined)) return bare;
  return options.map((option) => option.trim());
}

function refuseOptions(options: readonly string[]): void {
  const { length } = options;
  if (length < 2 || length > mostOptions) {
    throw new InputError(`a question with options has 2 to ${mostOptions} of them, this one has ${length}`, {
      fault: 'question',
    });
  }
  const empty = options.findIndex((option) => option.trim() === '');
  if (empty < 0) return;
  throw new InputError(`each option of a question has a text, option ${letterOf(empty)} is empty`, {
    fault: 'question',
  });
}
