import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { read } from './api.js';
import { useReturn } from './live.js';

export interface Loaded<T> {
  /** The last that was read; it stays while it is read again. */
  readonly data: T | null;
  readonly error: Error | null;
  readonly isLoading: boolean;
  reload(): void;
  /** Puts something newer in its place, as events tell it. */
  change(how: (data: T) => T): void;
}

/** What a path below `api/` answers; null reads nothing. It is read again when the connection was lost. */
export function useLoaded<T>(path: string | null): Loaded<T> {
  const [state, setState] = useState<Kept<T>>({ path: null, data: null, error: null });
  const [round, setRound] = useState(0);
  const running = useRef<AbortController | null>(null);
  useEffect(() => {
    if (path === null) return;
    const abort = new AbortController();
    running.current = abort;
    read<T>(path, abort.signal).then(
      (data) => abort.signal.aborted || setState({ path, data, error: null }),
      (error: Error) =>
        abort.signal.aborted ||
        setState((old) => ({ path, data: old.path === path ? old.data : null, error })),
    );
    return () => abort.abort();
  }, [path, round]);
  const reload = useCallback(() => {
    // At once: what it reads may be older than the reason to read again.
    running.current?.abort();
    setRound((n) => n + 1);
  }, []);
  useReturn(reload);
  const change = useCallback(
    (how: (data: T) => T) =>
      setState((old) => (old.data === null ? old : { ...old, data: how(old.data as T) })),
    [],
  );
  return { data: state.data, error: state.error, isLoading: state.path !== path, reload, change };
}

interface Kept<T> {
  readonly path: string | null;
  readonly data: T | null;
  readonly error: Error | null;
}
