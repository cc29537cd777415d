import type { Layout } from './layout.js';
import type { RowOutcome } from './line.js';
import type { RowFile } from './readers/index.js';
import type { Row } from './rows.js';
import { type BatchRun, runBatch } from './run.js';
import type { RunCounts } from './run-counts.js';
import { scoreRow } from './scores/score-row.js';
import type { RowOutput } from './stream.js';
import { rowsAgain, type Survey } from './survey.js';
import type { Tally } from './tally.js';

/** Which of the wanted rows are asked: those that are not there or failed before, or only one of these. */
export type Again = 'open' | 'absent' | 'failed';

export interface AnswerRows extends Omit<BatchRun, 'rows' | 'onRow'> {
  readonly file: RowFile;
  readonly layout: Layout;
  readonly survey: Survey;
  readonly output: RowOutput;
  readonly tally: Tally;
  readonly again: Again;
  /** Counts for the run's record. */
  readonly counts?: RunCounts;
}

/** Whether a row is to be asked now. */
export function isWaiting(
  index: number,
  { survey, output, again }: Pick<AnswerRows, 'survey' | 'output' | 'again'>,
): boolean {
  if (!survey.isWanted(index)) return false;
  const status = output.statusOf(index);
  return again === 'open' ? status !== 'completed' : status === again;
}

/** How many rows are to be asked now. */
export function countWaiting(parts: Pick<AnswerRows, 'survey' | 'output' | 'again'>): number {
  let waiting = 0;
  for (let index = 0; index < parts.survey.rows.size; index++) if (isWaiting(index, parts)) waiting++;
  return waiting;
}

/** Answers the rows of a file that wait, and writes each as it finishes. Returns how many jobs that took. */
export async function answerRows(parts: AnswerRows): Promise<number> {
  const { file, layout, survey, output, tally, counts, ...run } = parts;
  const rows = rowsAgain(file, layout, survey, (index) => isWaiting(index, parts));
  const onRow = async (row: Row, outcome: RowOutcome) => {
    await output.append(row, outcome);
    const { prediction } = outcome;
    const { answer, options } = row.given ?? {};
    const isRight = scoreRow({ prediction, answer, options, answerIs: 'letter' });
    counts?.add(row, outcome, isRight);
    tally.add(outcome, isRight);
  };
  return (await runBatch({ ...run, rows, onRow })).jobs;
}
