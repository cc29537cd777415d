import { type Share, wilson } from '../scores/intervals.js';
import type { AnsweredRow, Times } from './answered-row.js';

/* What is counted while rows pass by. Each holds a bounded number of things, however many rows there are. */

/** Groups beyond this number are counted together. */
const mostGroups = 1000;
export const otherGroups = '(others)';

/** What is counted by a name, and how. */
export class Groups<T> {
  readonly #groups = new Map<string, T>();

  constructor(readonly start: () => T) {}

  of(name: string): T {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    if (this.#groups.size >= mostGroups && name !== otherGroups) return this.of(otherGroups);
    const fresh = this.start();
    this.#groups.set(name, fresh);
    return fresh;
  }

  entries(): [string, T][] {
    return [...this.#groups].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** A share of right answers in the making. */
export class Score {
  right = 0;
  count = 0;

  add(right: boolean): void {
    this.count += 1;
    if (right) this.right += 1;
  }

  share(): Share {
    return wilson(this.right, this.count);
  }
}

/** The highest by a number, highest first; of equals those that came first. */
export class Highest<T> {
  readonly #kept: { readonly rank: number; readonly value: T }[] = [];

  constructor(readonly most: number) {}

  add(rank: number, value: T): void {
    const place = this.#kept.findIndex((one) => one.rank < rank);
    if (place < 0 && this.#kept.length >= this.most) return;
    this.#kept.splice(place < 0 ? this.#kept.length : place, 0, { rank, value });
    this.#kept.length = Math.min(this.#kept.length, this.most);
  }

  values(): T[] {
    return this.#kept.map(({ value }) => value);
  }
}

/** Failures of one kind. */
export interface Failures {
  readonly fault: string | null;
  readonly status: AnsweredRow['status'];
  count: number;
  /** The first of them, with its own message. */
  readonly example: AnsweredRow;
}

/** A job and what it took: rows that were answered together share its times. */
export interface Job {
  readonly times: Times;
  readonly row: AnsweredRow;
  rows: number;
}

/** Jobs whose rows may still come: as many as are under way at once, and far more. */
const openJobs = 4096;

/**
 * Tells jobs apart by their rows, so that each counts once. Rows of a job say what it had taken when they were answered: the last
 * one says all. Jobs that ran here are all called the same, so their video and the time of its encoding tell them apart.
 */
export class Jobs {
  readonly #open = new Map<string, Job>();

  constructor(readonly onJob: (job: Job) => void) {}

  add(row: AnsweredRow): void {
    if (row.times === null || row.cached) return;
    const { probeMs, decodeMs, encodeMs } = row.times;
    const key = JSON.stringify([row.job, row.video, probeMs, decodeMs, encodeMs]);
    const before = this.#open.get(key);
    const isLater = !before || (row.times.totalMs ?? 0) > (before.times.totalMs ?? 0);
    const rows = (before?.rows ?? 0) + 1;
    this.#open.set(key, { rows, row: before?.row ?? row, times: isLater ? row.times : before.times });
    if (this.#open.size > openJobs) this.#close(this.#open.keys().next().value!);
  }

  end(): void {
    for (const key of [...this.#open.keys()]) this.#close(key);
  }

  #close(key: string): void {
    this.onJob(this.#open.get(key)!);
    this.#open.delete(key);
  }
}
