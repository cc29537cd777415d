import type { Row } from './rows.js';

/** Judges an answer; null where a row has no right answer to compare it with. */
export interface Scorer {
  score(row: Row, prediction: string): boolean | null;
}

/** Right is what equals the answer but for case, punctuation, articles and space. */
export const exactMatch: Scorer = {
  score({ given }, prediction) {
    if (given?.answer === undefined) return null;
    return normalise(prediction) === normalise(given.answer);
  },
};

function normalise(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s]/gu, ' ')
    .replace(/\b(a|an|the)\b(?=\s*\S)/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
