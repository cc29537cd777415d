import type { AnswerForm } from '../choices.js';
import type { Columns } from '../layout.js';

/** The words around a question and its options. */
export interface Wording {
  /** A line before the question. */
  readonly before?: string;
  /** The line of the question itself; default as it is. */
  question?(text: string): string;
  /** A line before the options. */
  readonly heading?: string;
  /** The line of an option; default `A. red`. */
  option?(letter: string, text: string): string;
  /** A line behind it all. */
  readonly behind?: string;
}

/** How the files of a benchmark are laid out. */
export interface Preset {
  readonly columns: Columns;
  /** The name of the video's file, with or without its ending; default what the column says. */
  videoName?(value: string): string;
  /** What stands in place of an option where a row has fewer than there are columns. */
  readonly noOption?: string;
  /** How the right option is given; default its text or letter. */
  readonly answerIs?: AnswerForm;
  /** Where the category stands in no column. */
  categoryOf?(file: string): string;
  readonly wording?: Wording;
}

/** How MVBench lays a question and its options out, and MLVU after it. */
export const videoChat2: Wording = {
  question: (text) => `Question: ${text}`,
  heading: 'Options:',
  option: (letter, text) => `(${letter}) ${text}`,
  behind: 'Only give the best option.',
};

/** What benchmarks of open questions ask for, whose right answers are a word or two. */
export const shortAnswer = 'Answer the question using a single word or phrase.';
