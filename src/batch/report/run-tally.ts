import { errorClassOf } from '../error-class.js';
import { type AnsweredRow, timeNames } from './answered-row.js';
import { Quantiles } from './quantiles.js';
import { type Failures, Groups, Highest, Jobs, Score } from './tallies.js';
import type { NamedShare, RunReport, ShownRow } from './types.js';

/** Rows that are shown of each kind of worst ones. */
const mostShown = 20;

/** Counts the rows of one run. */
export class RunTally {
  unreadable = 0;
  readonly #counts = { completed: 0, failed: 0, cancelled: 0 };
  #cached = 0;
  readonly #models = new Groups(() => null);
  readonly #settings = new Groups(() => null);
  readonly #all = new Score();
  readonly #byKind = new Groups(() => new Score());
  readonly #byCategory = new Groups(() => new Score());
  readonly #tokens = { rows: 0, frames: 0, before: 0, after: 0 };
  readonly #stages = new Map(timeNames.map((name) => [name, new Quantiles()]));
  readonly #failures = new Groups<{ failures?: Failures }>(() => ({}));
  readonly #wrong = new Highest<AnsweredRow>(mostShown);
  readonly #slowest = new Highest<RunReport['slowest'][number]>(mostShown);
  readonly #jobs = new Jobs(({ times, row: { video, question }, rows }) => {
    for (const [name, stage] of this.#stages) if (times[name] !== undefined) stage.add(times[name]);
    const [name, ms] = longestOf(times);
    const totalMs = times.totalMs ?? 0;
    this.#slowest.add(totalMs, { video, question, rows, totalMs, longest: { name, ms } });
  });

  constructor(readonly file: string) {}

  add(row: AnsweredRow): void {
    this.#counts[row.status] += 1;
    if (row.model !== null) this.#models.of(row.model);
    if (row.settings !== null) this.#settings.of(row.settings);
    if (row.status === 'completed') this.#addAnswer(row);
    else this.#addFailure(row);
  }

  #addAnswer(row: AnsweredRow): void {
    if (row.cached) this.#cached += 1;
    if (row.right !== null) this.#addScore(row, row.right);
    if (row.tokens) this.#addTokens(row.frames ?? 0, row.tokens);
    this.#jobs.add(row);
  }

  #addScore(row: AnsweredRow, right: boolean): void {
    this.#all.add(right);
    if (row.kind !== null) this.#byKind.of(row.kind).add(right);
    if (row.category !== null) this.#byCategory.of(row.category).add(right);
    if (!right) this.#wrong.add(row.likelihood ?? -1, row);
  }

  #addTokens(frames: number, { before, after }: { before: number; after: number }): void {
    this.#tokens.rows += 1;
    this.#tokens.frames += frames;
    this.#tokens.before += before;
    this.#tokens.after += after;
  }

  #addFailure(row: AnsweredRow): void {
    const { fault, status, error } = row;
    const group = this.#failures.of(JSON.stringify([status, fault, errorClassOf(error ?? '')]));
    group.failures ??= { fault, status, count: 0, example: row };
    group.failures.count += 1;
  }

  report(): RunReport {
    this.#jobs.end();
    const { rows, frames, before, after } = this.#tokens;
    const models = this.#models.entries().map(([name]) => name);
    const failures = this.#failures.entries().map(([, group]) => group.failures!);
    return {
      ...{ file: this.file, models, settings: this.#settings.entries().length },
      rows: {
        ...this.#counts,
        ...{ scored: this.#all.count, cached: this.#cached, unreadable: this.unreadable },
      },
      accuracy: this.#all.share(),
      byKind: sharesOf(this.#byKind),
      byCategory: sharesOf(this.#byCategory),
      tokens: { rows, frames: frames / rows, before: before / rows, after: after / rows },
      times: this.#times(),
      failures: failures
        .sort((a, b) => b.count - a.count)
        .map(({ example: { line, video, question, error }, ...group }) => ({
          ...group,
          example: { line, video, question, error: error ?? '' },
        })),
      wrong: this.#wrong.values().map(showRow),
      slowest: this.#slowest.values(),
    };
  }

  #times(): RunReport['times'] {
    const total = this.#stages.get('totalMs')!;
    const stages = [...this.#stages].flatMap(([name, stage]) => {
      if (stage.count === 0) return [];
      const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => stage.at(share)) as [number, number, number];
      return [{ name, p50, p90, p99, share: stage.sum / total.sum }];
    });
    return { jobs: total.count, stages };
  }
}

/** What of a row is shown. */
export function showRow(row: AnsweredRow): ShownRow {
  const { line, video, question, options, answer, prediction, kind, category, likelihood, ptsSeconds } = row;
  return { line, video, question, options, answer, prediction, kind, category, likelihood, ptsSeconds };
}

function sharesOf(groups: Groups<Score>): NamedShare[] {
  return groups.entries().map(([name, score]) => ({ name, ...score.share() }));
}

/** Which stage took longest; the whole and the first token are none. */
function longestOf(times: NonNullable<AnsweredRow['times']>): [string, number] {
  const stages = Object.entries(times).filter(([name]) => !['totalMs', 'firstTokenMs'].includes(name));
  return stages.reduce((longest, stage) => (stage[1] > longest[1] ? stage : longest), ['', 0]);
}
