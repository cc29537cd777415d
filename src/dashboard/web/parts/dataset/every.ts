import { useEffect, useRef } from 'preact/hooks';

/** Does something again and again while the page is looked at: runs tell how far they are without an event. */
export function useEvery(ms: number, act: () => void): void {
  const latest = useRef(act);
  latest.current = act;
  useEffect(() => {
    const timer = setInterval(() => document.hidden || latest.current(), ms);
    return () => clearInterval(timer);
  }, [ms]);
}
