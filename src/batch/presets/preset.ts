import type { AnswerForm } from '../choices.js';
import type { Columns } from '../layout.js';

/** The words around a question and its options. */
export interface Wording {
  /** A line before the question. */
  readonly before?: string;
  /** The line of an option; default `A. red`. */
  option?(letter: string, text: string): string;
  /** A line behind it all. */
  readonly behind?: string;
}

/** How the files of a benchmark are laid out. */
export interface Preset {
  readonly title: string;
  readonly columns: Columns;
  /** The name of the video's file, with or without its ending; default what the column says. */
  videoName?(value: string): string;
  /** How the right option is given; default its text or letter. */
  readonly answerIs?: AnswerForm;
  /** Where the category stands in no column. */
  categoryOf?(file: string): string;
  readonly wording?: Wording;
}

/** What benchmarks of open questions ask for, whose right answers are a word or two. */
export const shortAnswer = 'Answer the question using a single word or phrase.';
/** What is asked of a model that is to choose. */
export const letterAlone = "Answer with the option's letter from the given choices directly.";
