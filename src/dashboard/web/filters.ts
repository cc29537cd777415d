import type { JobFilter, JobState } from '../api/schemas.js';

export const states: readonly JobState[] = [
  'waiting',
  'delayed',
  'active',
  'completed',
  'failed',
  'cancelled',
];

export const orders = ['newest', 'oldest', 'slowest', 'fastest', 'finished'] as const;
export type Order = (typeof orders)[number];

const texts = ['text', 'video', 'question', 'answer', 'model', 'dataset', 'worker', 'errorClass'] as const;
const numbers = ['minMs', 'maxMs', 'from', 'to'] as const;

/** What an address says of jobs that are wanted; what it says wrongly is left out. */
export function filterOf(query: URLSearchParams): JobFilter {
  const filter: JobFilter = {};
  const wanted = states.filter((state) => query.getAll('state').includes(state));
  if (wanted.length > 0) filter.state = wanted;
  for (const name of texts) {
    const text = query.get(name)?.trim();
    if (text) filter[name] = text.slice(0, 512);
  }
  for (const name of numbers) {
    const value = Number(query.get(name) || Number.NaN);
    if (Number.isFinite(value) && value >= 0) filter[name] = value;
  }
  return filter;
}

/** As an address says it: the way back. */
export function queryOf(filter: JobFilter): URLSearchParams {
  const query = new URLSearchParams();
  for (const state of filter.state ?? []) query.append('state', state);
  for (const name of [...texts, ...numbers]) {
    const value = filter[name];
    if (value !== undefined && value !== '') query.set(name, String(value));
  }
  return query;
}

export function orderOf(query: URLSearchParams): Order {
  return orders.find((order) => order === query.get('order')) ?? 'newest';
}

/** How many conditions there are besides state and text, which are always in sight. */
export function countHidden(filter: JobFilter): number {
  return [...texts, ...numbers].filter((name) => name !== 'text' && filter[name] !== undefined).length;
}

/** Of the states that are wanted those in which a job can still be cancelled, or retried. */
export function statesFor(action: 'cancel' | 'retry', wanted: readonly JobState[] | undefined): JobState[] {
  const possible: readonly JobState[] =
    action === 'cancel' ? ['waiting', 'delayed', 'active'] : ['failed', 'cancelled'];
  return possible.filter((state) => !wanted?.length || wanted.includes(state));
}
