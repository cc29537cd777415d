import type { z } from 'zod';
import type { ErrorGroup, Facets, JobFilter, JobRow, jobQuerySchema } from '../api/schemas.js';
import type { Entry } from './entry.js';
import type { Rows } from './rows.js';
import { hasWords, partHasWords, wordsOf } from './words.js';

export type JobQuery = z.output<typeof jobQuerySchema>;

/** A page of the jobs that meet the filter, and how many there are. */
export function listJobs(rows: Rows, query: JobQuery): { total: number; rows: JobRow[] } {
  const meets = condition(query);
  const page: JobRow[] = [];
  let total = 0;
  for (const entry of rows.inOrder(query.order)) {
    if (!meets(entry)) continue;
    if (total >= query.offset && page.length < query.limit) page.push(entry.row);
    total += 1;
  }
  return { total, rows: page };
}

/** The failures that meet the filter, by their class, the most frequent first. */
export function groupErrors(rows: Rows, filter: JobFilter): ErrorGroup[] {
  const meets = condition(filter);
  const groups = new Map<string, ErrorGroup>();
  for (const entry of rows.inOrder('finished')) {
    const { id, video, error, errorClass, fault, finishedAt } = entry.row;
    if (errorClass === null || !meets(entry)) continue;
    const at = finishedAt ?? entry.row.createdAt;
    const group = groups.get(errorClass);
    // The newest one comes first.
    const example = { id, video, error: error ?? '' };
    if (!group) groups.set(errorClass, { errorClass, fault, count: 1, firstAt: at, lastAt: at, example });
    else Object.assign(group, { count: group.count + 1, firstAt: at });
  }
  return [...groups.values()].sort((a, b) => b.count - a.count);
}

/** What there is to filter by. */
export function facetsOf(rows: Rows): Facets {
  const models = new Set<string>();
  const datasets = new Set<string>();
  const workers = new Set<string>();
  const errorClasses = new Set<string>();
  for (const { row } of rows.entries()) {
    models.add(row.model);
    if (row.dataset !== null) datasets.add(row.dataset);
    if (row.worker !== null) workers.add(row.worker);
    if (row.errorClass !== null) errorClasses.add(row.errorClass);
  }
  models.delete('');
  const sorted = (names: Set<string>) => [...names].sort();
  return {
    models: sorted(models),
    datasets: sorted(datasets),
    workers: sorted(workers),
    errorClasses: sorted(errorClasses),
  };
}

/** Whether a job meets all that a filter asks. What is cheap to look at comes first. */
export function condition(filter: JobFilter): (entry: Entry) => boolean {
  const conditions: ((entry: Entry) => boolean)[] = [];
  const also = <T>(value: T | undefined, make: (value: T) => (entry: Entry) => boolean) => {
    if (value !== undefined) conditions.push(make(value));
  };
  also(
    filter.state,
    (states) =>
      ({ row }) =>
        states.includes(row.state),
  );
  for (const field of ['model', 'dataset', 'worker', 'errorClass'] as const) {
    also(
      filter[field],
      (wanted) =>
        ({ row }) =>
          row[field] === wanted,
    );
  }
  also(
    filter.minMs,
    (least) =>
      ({ row }) =>
        row.totalMs !== null && row.totalMs >= least,
  );
  also(
    filter.maxMs,
    (most) =>
      ({ row }) =>
        row.totalMs !== null && row.totalMs <= most,
  );
  also(
    filter.from,
    (from) =>
      ({ row }) =>
        row.createdAt >= from,
  );
  also(
    filter.to,
    (to) =>
      ({ row }) =>
        row.createdAt <= to,
  );
  also(
    wordsIn(filter.text),
    (words) =>
      ({ haystack }) =>
        hasWords(haystack, words),
  );
  for (const [field, part] of [
    ['video', 'video'],
    ['question', 'questions'],
    ['answer', 'answers'],
  ] as const) {
    also(
      wordsIn(filter[field]),
      (words) =>
        ({ haystack }) =>
          partHasWords(haystack, part, words),
    );
  }
  const [only, ...more] = conditions;
  if (!only) return () => true;
  return more.length === 0 ? only : (entry) => conditions.every((meets) => meets(entry));
}

function wordsIn(text: string | undefined): string[] | undefined {
  return text === undefined ? undefined : wordsOf(text);
}
