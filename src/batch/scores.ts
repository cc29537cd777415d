import type { Row } from './rows.js';
import { scoreRow } from './scores/score-row.js';

/** Judges an answer; null where a row has no right answer to compare it with. */
export interface Scorer {
  score(row: Row, prediction: string): boolean | null;
}

/** Open answers by VQA's rule, choices by their option: as `visionzip report` judges them. */
export const rightAnswer: Scorer = {
  score: ({ given }, prediction) => scoreRow({ prediction, answer: given?.answer, options: given?.options }),
};
