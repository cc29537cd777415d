import { useEffect, useRef } from 'preact/hooks';

/** Calls something soon after it was wanted, once for all that want it meanwhile. */
export function useCalm(act: () => void, afterMs: number): () => void {
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useEffect(() => () => clearTimeout(timer.current ?? undefined), []);
  return () => {
    timer.current ??= setTimeout(() => {
      timer.current = null;
      act();
    }, afterMs);
  };
}
