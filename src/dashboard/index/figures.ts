import { stageNames } from '../../pipeline/timings.js';
import type { Overview } from '../api/schemas.js';
import type { Entry } from './entry.js';
import { Quantiles } from './quantiles.js';
import type { Rows } from './rows.js';

/** What the jobs come to that ended within some hours. */
export type Figures = Pick<Overview, 'series' | 'stages' | 'tokens' | 'reuse' | 'jobsPerMinute'>;

const points = 60;
/** The rate is that of the last minutes: of a night whose workers have just come it says what matters now. */
const rateMs = 10 * 60_000;
const minuteMs = 60_000;

export function figuresOf(rows: Rows, hours: number, now: number): Figures {
  const stepSeconds = Math.max(1, Math.round((hours * 3600) / points));
  // Steps begin at the same times for whoever asks whenever: what has ended does not move on to another one.
  const stepMs = stepSeconds * 1000;
  const since = (Math.ceil(now / stepMs) - points) * stepMs;
  const ended = endedSince(rows, since);
  return {
    series: seriesOf(ended, since, stepSeconds),
    stages: stagesOf(ended),
    ...sumsOf(ended),
    jobsPerMinute: rateOf(ended, now),
  };
}

function endedSince(rows: Rows, since: number): Entry[] {
  const ended: Entry[] = [];
  for (const entry of rows.inOrder('finished')) {
    if ((entry.row.finishedAt ?? Number.NEGATIVE_INFINITY) < since) break;
    ended.push(entry);
  }
  return ended;
}

function seriesOf(ended: readonly Entry[], since: number, stepSeconds: number): Figures['series'] {
  const stepMs = stepSeconds * 1000;
  const series = Array.from({ length: points }, (_, i) => ({
    ...{ at: since + i * stepMs, completed: 0, failed: 0, cancelled: 0 },
  }));
  for (const { row } of ended) {
    // A clock that goes ahead of this one is no reason to leave a job out.
    const point = series[Math.min(points - 1, Math.floor((row.finishedAt! - since) / stepMs))]!;
    if (row.state === 'completed' || row.state === 'failed' || row.state === 'cancelled')
      point[row.state] += 1;
  }
  return { stepSeconds, points: series };
}

const shownStages = [...stageNames, 'firstTokenMs', 'totalMs'];

/** A stage that took no time was not needed. */
function stagesOf(ended: readonly Entry[]): Figures['stages'] {
  const quantiles = shownStages.map(() => new Quantiles());
  for (const { row, stages } of ended) {
    if (stages === null || row.cached) continue;
    for (let i = 0; i < stages.length; i += 1) if (stages[i]! > 0) quantiles[i]!.add(stages[i]!);
    if (row.firstTokenMs) quantiles.at(-2)!.add(row.firstTokenMs);
    if (row.totalMs) quantiles.at(-1)!.add(row.totalMs);
  }
  return shownStages.flatMap((stage, i) => {
    const of = quantiles[i]!;
    if (of.count === 0) return [];
    return [{ stage, count: of.count, p50: of.at(0.5), p90: of.at(0.9), p99: of.at(0.99) }];
  });
}

function sumsOf(ended: readonly Entry[]): Pick<Figures, 'tokens' | 'reuse'> {
  const tokens = { before: 0, after: 0 };
  const reuse = { jobs: 0, cached: 0, tokens: 0, prefix: 0 };
  for (const { row } of ended) {
    if (row.state !== 'completed') continue;
    reuse.jobs += 1;
    if (row.cached) reuse.cached += 1;
    else if (row.reused !== 'none') reuse[row.reused] += 1;
    tokens.before += row.tokens?.before ?? 0;
    tokens.after += row.tokens?.after ?? 0;
  }
  return { tokens, reuse };
}

/** Jobs that workers ended a minute, since the first of the last minutes did; many may be cancelled at once before they began. */
function rateOf(ended: readonly Entry[], now: number): number {
  const recent = ended.filter(({ row }) => row.startedAt !== null && row.finishedAt! >= now - rateMs);
  // The newest come first.
  const first = recent.at(-1);
  return first ? recent.length / Math.max(1, (now - first.row.finishedAt!) / minuteMs) : 0;
}
