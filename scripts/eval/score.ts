import type { ClipRow } from '../clip-files.js';

/** Allows for seconds that were written with six decimals. */
const roundingSeconds = 1e-6;

/**
 * A time is right within the question's tolerance, whatever stands around its first number. Everything else must be
 * the same, case and a final full stop aside.
 */
export function isRight({ answer, toleranceSeconds }: ClipRow, prediction: string): boolean {
  if (toleranceSeconds === undefined) return normalise(prediction) === normalise(answer);
  const offSeconds = Math.abs(firstNumber(prediction) - firstNumber(answer));
  return offSeconds <= toleranceSeconds + roundingSeconds;
}

/**
 * What answers without looking can reach: per group of questions the one guess that is right most often on other clips,
 * `practice`. The guess at a time is a share of the clip's length.
 */
export function chanceGuess(practice: readonly ClipRow[]): (row: ClipRow) => string {
  const groups = [...new Set(practice.map(groupOf))];
  const guesses = new Map(
    groups.map((group) => [group, bestGuess(practice.filter((row) => groupOf(row) === group))]),
  );
  return (row) => guesses.get(groupOf(row))?.(row) ?? '';
}

/** The kind; questions of order ask for a time relation or for a colour, which the wording gives away. */
function groupOf({ kind, question }: ClipRow): string {
  return kind === 'order' && question.includes('before or after') ? 'order in time' : kind;
}

type Guess = (row: ClipRow) => string;

function bestGuess(rows: readonly ClipRow[]): Guess {
  const scored = guessesOf(rows).map((guess) => ({
    guess,
    right: rows.filter((row) => isRight(row, guess(row))).length,
  }));
  return scored.reduce((best, next) => (next.right > best.right ? next : best)).guess;
}

/** Every answer, or every hundredth of the clip, which is seven tolerances long. */
function guessesOf(rows: readonly ClipRow[]): Guess[] {
  if (rows[0]!.toleranceSeconds === undefined) {
    return [...new Set(rows.map(({ answer }) => answer))].map((answer) => () => answer);
  }
  return Array.from(
    { length: 101 },
    (_, hundredth) => (row) => `${((hundredth / 100) * 7 * row.toleranceSeconds!).toFixed(6)}s`,
  );
}

function normalise(answer: string): string {
  return answer.trim().toLowerCase().replace(/\.$/, '');
}

/** NaN where there is none. */
function firstNumber(text: string): number {
  return Number(/-?\d*\.?\d+/.exec(text)?.[0] ?? Number.NaN);
}
