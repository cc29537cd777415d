import { useLayoutEffect, useRef } from 'preact/hooks';

/** Where the text that is being written ends, counted from the top of the window; null where nothing is written. */
function endOf(around: HTMLElement | null): number | null {
  const last = [...(around?.querySelectorAll('.writing') ?? [])].at(-1);
  return last ? last.getBoundingClientRect().bottom : null;
}

/** Scrolls along with a text that grows, while its end is in sight: whoever scrolls away from it stays where they are. */
export function useFollow<T extends HTMLElement>(texts: readonly string[]) {
  const around = useRef<T>(null);
  const before = endOf(around.current);
  useLayoutEffect(() => {
    const after = endOf(around.current);
    if (before === null || after === null || before < 0 || before > window.innerHeight) return;
    if (after > window.innerHeight) window.scrollBy(0, after - window.innerHeight);
  }, [texts]);
  return around;
}
