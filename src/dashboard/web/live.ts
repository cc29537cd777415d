import { useEffect, useRef } from 'preact/hooks';
import type { JobRow, LiveEvent, Overview } from '../api/schemas.js';
import { startSession } from './api.js';
import { addressOf } from './router.js';
import { Shared } from './shared.js';

/** Whether events arrive from the dashboard. */
export const connection = new Shared<'connecting' | 'open' | 'lost'>('connecting');
/** Since when Redis does not answer; null while it does. */
export const awaySince = new Shared<number | null>(null);
export const overview = new Shared<Overview | null>(null);
/** How long a time the overview tells of. */
let hours = 1;
/** The clock of everything that says how long ago something was. */
export const now = new Shared(Date.now());

setInterval(() => {
  now.value = Date.now();
}, 5000);

type RowListener = (row: JobRow) => void;
const listeners = new Set<RowListener>();
/** Called when events may have been missed: everything is to be read again. */
const returns = new Set<() => void>();

let source: EventSource | null = null;
let retry: ReturnType<typeof setTimeout> | undefined;

/** Listens while the page is looked at: a browser allows few connections, and a page in the background needs none. */
export function startLive(): void {
  const follow = () => (document.hidden ? disconnect() : connect());
  document.addEventListener('visibilitychange', follow);
  follow();
}

export function followHours(wanted: number): void {
  if (wanted === hours) return;
  hours = wanted;
  overview.value = null;
  if (!source) return;
  disconnect();
  connect();
}

function disconnect(): void {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function connect(): void {
  if (source) return;
  source = new EventSource(addressOf(`api/live?hours=${hours}`));
  source.addEventListener('open', () => {
    connection.value = 'open';
    // A dashboard that was started anew expects another token with each write.
    startSession().catch(() => {});
    // What was read before this may have changed before it was listened to.
    for (const listener of returns) listener();
  });
  source.addEventListener('message', ({ data }) => take(JSON.parse(data) as LiveEvent));
  source.addEventListener('error', () => {
    connection.value = 'lost';
    if (source?.readyState !== EventSource.CLOSED) return;
    // An answer that is no stream ends the browser's own attempts. Whoever is logged out is led to the login by reading.
    disconnect();
    const again = () => document.hidden || connect();
    retry = setTimeout(() => void startSession().then(again, again), 3000);
  });
}

function take(event: LiveEvent): void {
  now.value = Date.now();
  if (event.type === 'overview') {
    overview.value = event.overview;
    // Who listens anew is not told that it is back.
    awaySince.value = null;
  } else if (event.type === 'job') for (const listener of listeners) listener(event.row);
  else if (event.type === 'away') awaySince.value ??= Date.now();
  else {
    awaySince.value = null;
    for (const listener of returns) listener();
  }
}

/** Hears of every job that changes. */
export function useJobs(listener: RowListener): void {
  useMember(listeners, listener);
}

/** Hears when the connection, or Redis, has come back. */
export function useReturn(listener: () => void): void {
  useMember(returns, listener);
}

/** The newest function is the one that is called. */
function useMember<A extends unknown[]>(
  set: Set<(...args: A) => void>,
  listener: (...args: A) => void,
): void {
  const latest = useRef(listener);
  latest.current = listener;
  useEffect(() => {
    const member = (...args: A) => latest.current(...args);
    set.add(member);
    return () => {
      set.delete(member);
    };
  }, [set]);
}
