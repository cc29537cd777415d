import { mcNemar } from '../scores/paired.js';
import type { AnsweredRow } from './answered-row.js';
import { showRow } from './run-tally.js';
import { Groups } from './tallies.js';
import type { ChangedRow, Comparison, PairedCounts } from './types.js';

/** Rows that are shown of those that got better, and of those that got worse. */
const mostShown = 100;

interface Verdict {
  readonly right: boolean | null;
  readonly prediction: string | null;
}

type Counts = { -readonly [name in keyof PairedCounts]: PairedCounts[name] };

/** Compares what two runs answered to the same rows. A failed row cannot be scored, so it is in none of the counts. */
export async function compareRuns(
  before: AsyncIterable<AnsweredRow>,
  now: AsyncIterable<AnsweredRow>,
): Promise<Omit<Comparison, 'before'>> {
  const verdicts = new Map<string, Verdict>();
  for await (const [key, { right, prediction }] of named(before)) verdicts.set(key, { right, prediction });
  const rows = verdicts.size;
  const counts = startCounts();
  const byKind = new Groups(startCounts);
  const [betterRows, worseRows]: [ChangedRow[], ChangedRow[]] = [[], []];
  let onlyNow = 0;
  for await (const [key, row] of named(now)) {
    const verdict = verdicts.get(key);
    verdicts.delete(key);
    if (!verdict) onlyNow += 1;
    const change = verdict && changeOf(verdict.right, row.right);
    if (!change) continue;
    counts[change] += 1;
    if (row.kind !== null) byKind.of(row.kind)[change] += 1;
    const changed = change === 'better' ? betterRows : change === 'worse' ? worseRows : null;
    if (changed && changed.length < mostShown)
      changed.push({ ...showRow(row), predictionBefore: verdict.prediction });
  }
  return {
    ...counts,
    ...{ shared: rows - verdicts.size, onlyBefore: verdicts.size, onlyNow },
    p: mcNemar(counts.better, counts.worse),
    byKind: byKind.entries().map(([name, group]) => ({ name, ...group })),
    ...{ betterRows, worseRows },
  };
}

function startCounts(): Counts {
  return { bothRight: 0, bothWrong: 0, better: 0, worse: 0 };
}

function changeOf(before: boolean | null, now: boolean | null): keyof PairedCounts | null {
  if (before === null || now === null) return null;
  if (before) return now ? 'bothRight' : 'worse';
  return now ? 'better' : 'bothWrong';
}

/** Rows by their keys; of several with one key each has its number. */
async function* named(rows: AsyncIterable<AnsweredRow>): AsyncGenerator<[string, AnsweredRow]> {
  const seen = new Map<string, number>();
  for await (const row of rows) {
    const times = seen.get(row.key) ?? 0;
    seen.set(row.key, times + 1);
    yield [times === 0 ? row.key : `${row.key} ${times}`, row];
  }
}
