import { InputError } from '../../errors.js';
import { type AnsweredRow, type FieldNames, readRow } from './answered-row.js';
import { compareRuns } from './comparison.js';
import { readJsonLines } from './read-lines.js';
import { RunTally } from './run-tally.js';
import { supersededLines } from './superseded.js';
import type { Report } from './types.js';

/**
 * Reads a batch's output twice, and what it is compared with, and says what they come to. Of a row no more is kept than `supersededLines`
 * needs; of a comparison also the verdicts and the predictions of one run.
 *
 * @throws InputError where a file cannot be read or holds no answers, and where two have no row in common.
 */
export async function makeReport(
  file: string,
  { fields, before }: { readonly fields?: FieldNames; readonly before?: string } = {},
): Promise<Report> {
  const run = new RunTally(file);
  if (before === undefined) {
    for await (const row of readRows(file, fields, run)) run.add(row);
    return run.report();
  }
  const runBefore = new RunTally(before);
  const comparison = await compareRuns(counted(before, runBefore), counted(file, run));
  if (comparison.shared === 0) {
    throw new InputError(
      `expected rows of ${before} in ${file}, found none: rows are known by their line in the questions' file; ` +
        'name another field of theirs with `id`',
      { fault: 'settings' },
    );
  }
  return { ...run.report(), comparison: { ...comparison, before: runBefore.report() } };

  async function* counted(path: string, tally: RunTally): AsyncGenerator<AnsweredRow> {
    for await (const row of readRows(path, fields, tally)) {
      tally.add(row);
      yield row;
    }
  }
}

async function* readRows(
  file: string,
  names: FieldNames | undefined,
  tally: RunTally,
): AsyncGenerator<AnsweredRow> {
  const superseded = await supersededLines(file);
  let isEmpty = true;
  for await (const { line, fields } of readJsonLines(file)) {
    if (superseded.has(line)) continue;
    const row = fields && readRow(line, fields, names);
    if (row) yield row;
    else tally.unreadable += 1;
    if (row) isEmpty = false;
  }
  if (!isEmpty) return;
  throw new InputError(
    `expected rows with \`prediction\` and \`status\`, as \`visionzip batch\` writes them, found none in ${file}`,
    { fault: 'settings' },
  );
}
