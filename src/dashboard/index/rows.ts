import type { z } from 'zod';
import type { JobState, jobOrderSchema } from '../api/schemas.js';
import type { Entry } from './entry.js';

export type JobOrder = z.infer<typeof jobOrderSchema>;
type SortedOrder = Exclude<JobOrder, 'oldest'>;

/** What an order goes by, the largest first. Jobs of which it is not known come last. */
const keys: Readonly<Record<SortedOrder, (entry: Entry) => number>> = {
  newest: ({ row }) => row.createdAt,
  finished: ({ row }) => row.finishedAt ?? Number.NEGATIVE_INFINITY,
  slowest: ({ row }) => row.totalMs ?? Number.NEGATIVE_INFINITY,
  fastest: ({ row }) => -(row.totalMs ?? Number.POSITIVE_INFINITY),
};

/** The larger key first; of equal ones the job that was asked last. An order that is not the same each time would tear pages of it apart. */
function compare(key: (entry: Entry) => number, a: Entry, b: Entry): number {
  // The difference of two infinities is no number.
  if (key(a) !== key(b)) return key(b) > key(a) ? 1 : -1;
  return b.row.createdAt - a.row.createdAt || compareIds(b.row.id, a.row.id);
}

/** Jobs asked in the same millisecond: their ids are in the order in which they were made, be they ours or plain numbers. */
function compareIds(a: string, b: string): number {
  const areNumbers = [isNumber.test(a), isNumber.test(b)];
  if (areNumbers[0] !== areNumbers[1]) return areNumbers[0] ? -1 : 1;
  if (areNumbers[0] && a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

const isNumber = /^[1-9]\d*$/;

interface Sorted {
  entries: Entry[];
  /** Not yet in their places. */
  added: Entry[];
  version: number;
}

const isOf = ({ row }: Entry, state: JobState) => row.state === state;

/** The entries of the index by their ids, and in several orders, which are put right when they are asked for. */
export class Rows {
  readonly #byId = new Map<string, Entry>();
  readonly #sorted = new Map<SortedOrder, Sorted>();
  readonly #inState = { active: new Set<Entry>(), cancelled: new Set<Entry>() };
  #version = 0;

  /** Grows with each change. */
  get version(): number {
    return this.#version;
  }

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): Entry | undefined {
    return this.#byId.get(id);
  }

  ids(): IterableIterator<string> {
    return this.#byId.keys();
  }

  entries(): IterableIterator<Entry> {
    return this.#byId.values();
  }

  set(entry: Entry): void {
    this.#leave(entry.row.id);
    this.#byId.set(entry.row.id, entry);
    if (isOf(entry, 'active')) this.#inState.active.add(entry);
    if (isOf(entry, 'cancelled')) this.#inState.cancelled.add(entry);
    for (const [order, sorted] of this.#sorted) {
      sorted.added.push(entry);
      // Nobody asks for this order any more.
      if (sorted.added.length > this.#byId.size + 1_000) this.#sorted.delete(order);
    }
  }

  delete(id: string): void {
    this.#leave(id);
    this.#byId.delete(id);
  }

  /** Lets the oldest go of those that have ended, so that `limit` are left. */
  forgetOldest(limit: number): void {
    const ended = this.inOrder('oldest').filter(({ row }) => row.finishedAt !== null);
    for (const { row } of ended.slice(0, this.size - limit)) this.delete(row.id);
  }

  /** Valid until the next change. */
  inOrder(order: JobOrder): readonly Entry[] {
    return order === 'oldest' ? this.#sort('newest').toReversed() : this.#sort(order);
  }

  /** Those that run, and those that were cancelled: looked at much more often than they change. */
  inState(state: 'active' | 'cancelled'): IterableIterator<Entry> {
    return this.#inState[state].values();
  }

  #leave(id: string): void {
    this.#version += 1;
    const old = this.#byId.get(id);
    if (!old) return;
    old.isGone = true;
    if (isOf(old, 'active')) this.#inState.active.delete(old);
    if (isOf(old, 'cancelled')) this.#inState.cancelled.delete(old);
  }

  /** Most of it is in order already, and such lists are sorted in linear time. */
  #sort(order: SortedOrder): readonly Entry[] {
    const known = this.#sorted.get(order);
    if (known?.version === this.#version) return known.entries;
    const key = keys[order];
    const all = known
      ? [...known.added, ...known.entries].filter(({ isGone }) => !isGone)
      : [...this.entries()];
    all.sort((a, b) => compare(key, a, b));
    this.#sorted.set(order, { entries: all, added: [], version: this.#version });
    return all;
  }
}
