import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { read } from './api.js';
import { useReturn } from './live.js';

type Change<T> = (data: T) => T;

export interface Loaded<T> {
  /** The last that was read; it stays while it is read again. */
  readonly data: T | null;
  readonly error: Error | null;
  readonly isLoading: boolean;
  /** How often it was read so far. */
  readonly readings: number;
  /** Reads again, and at once: what is being read may be older than the reason to do so. */
  reload(): void;
  /** Reads again unless it is being read: for whoever asks for it every few seconds. */
  refresh(): void;
  /** Puts something newer in its place, as events tell it: also into what is being read, which may be older. */
  change(how: Change<T>): void;
}

interface Reading<T> {
  readonly abort: AbortController;
  /** What was told since it began. */
  readonly told: Change<T>[];
}

/** What a path below `api/` answers; null reads nothing. It is read again when the connection was lost. */
export function useLoaded<T>(path: string | null): Loaded<T> {
  const [state, setState] = useState<Kept<T>>({ path: null, data: null, error: null, readings: 0 });
  const [round, setRound] = useState(0);
  const running = useRef<Reading<T> | null>(null);
  useEffect(() => {
    if (path === null) return;
    const reading: Reading<T> = { abort: new AbortController(), told: [] };
    const { signal } = reading.abort;
    const end = (next: (old: Kept<T>) => Kept<T>) => {
      if (signal.aborted) return;
      running.current = null;
      setState(next);
    };
    running.current = reading;
    read<T>(path, signal).then(
      (read) =>
        end(({ readings }) => {
          const data = reading.told.reduce((data, how) => how(data), read);
          return { path, data, error: null, readings: readings + 1 };
        }),
      (error: Error) => end((old) => ({ ...old, path, data: old.path === path ? old.data : null, error })),
    );
    return () => reading.abort.abort();
  }, [path, round]);
  const reload = useCallback(() => {
    running.current?.abort.abort();
    setRound((n) => n + 1);
  }, []);
  const refresh = useCallback(() => {
    if (running.current === null) reload();
  }, []);
  useReturn(reload);
  const change = useCallback((how: Change<T>) => {
    running.current?.told.push(how);
    setState((old) => (old.data === null ? old : { ...old, data: how(old.data) }));
  }, []);
  return { ...state, isLoading: state.path !== path, reload, refresh, change };
}

interface Kept<T> {
  readonly path: string | null;
  readonly data: T | null;
  readonly error: Error | null;
  readonly readings: number;
}
