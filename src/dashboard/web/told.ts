import type { JobDetail, JobList, JobRow, JobState } from '../api/schemas.js';

/** A job that was read, and what events told since. */
export interface FollowedJob extends JobDetail {
  /** Whether they told of another state than was read: the rest of it is another one, too. */
  readonly isBehind?: boolean;
}

/** Events take a moment: what one tells may be older than what was read, and then does not replace it. */
export function withTold(job: FollowedJob, row: JobRow): FollowedJob {
  if (job.row.id !== row.id) return job;
  const order = compareRows(row, job.row);
  if (order === 0) return { ...job, row };
  return { ...job, row: order > 0 ? row : job.row, isBehind: true };
}

/** In which order an attempt goes through the states: a job that is to be tried again waits after the attempt, not before it. */
const places: Readonly<Record<JobState, number>> = {
  active: 0,
  delayed: 1,
  waiting: 2,
  completed: 3,
  failed: 3,
  cancelled: 3,
};

/** Above 0 where `a` tells of the job at a later time. */
function compareRows(a: JobRow, b: JobRow): number {
  return a.createdAt - b.createdAt || a.attempts - b.attempts || places[a.state] - places[b.state];
}

/** A page of jobs that was read, and what events told since. */
export interface FollowedList extends JobList {
  /** Jobs that came in and are not on it. */
  readonly news?: Set<string>;
}

/** Rows change where they stand; what is new is only told, so that nothing jumps under the pointer. */
export function withRow(list: FollowedList, row: JobRow, since: number): FollowedList {
  if (list.rows.some(({ id }) => id === row.id))
    return { ...list, rows: list.rows.map((old) => (old.id === row.id ? row : old)) };
  return row.createdAt >= since ? { ...list, news: (list.news ?? new Set()).add(row.id) } : list;
}
