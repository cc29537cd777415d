/** The part of a time line that is in sight. */
export interface View {
  readonly from: number;
  readonly to: number;
}

/** The shortest part that is shown, in milliseconds. */
const shortest = 5;

/** Shows `factor` times as much, with what lies at `at` where it is; never more than the whole. */
export function zoomed(view: View, factor: number, at: number, whole: View): View {
  const length = view.to - view.from;
  const wanted = Math.min(whole.to - whole.from, Math.max(shortest, length * factor));
  const from = at - (at - view.from) * (wanted / length);
  return within({ from, to: from + wanted }, whole);
}

/** Moves by a share of what is in sight. */
export function panned(view: View, share: number, whole: View): View {
  const by = share * (view.to - view.from);
  return within({ from: view.from + by, to: view.to + by }, whole);
}

function within(view: View, whole: View): View {
  const length = view.to - view.from;
  const from = Math.max(whole.from, Math.min(view.from, whole.to - length));
  return { from, to: from + length };
}

/** Where a span stands in a view, in percent of its width; null outside. */
export function placed(view: View, from: number, to: number): { left: number; width: number } | null {
  const length = view.to - view.from;
  if (to < view.from || from > view.to || length <= 0) return null;
  const start = Math.max(from, view.from);
  const end = Math.min(to, view.to);
  return { left: ((start - view.from) / length) * 100, width: ((end - start) / length) * 100 };
}

/** Round steps for about `count` marks within a view. */
export function ticksOf(view: View, count: number): number[] {
  const rough = (view.to - view.from) / count;
  if (!(rough > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough)!;
  const ticks: number[] = [];
  for (let tick = Math.ceil(view.from / step) * step; tick <= view.to; tick += step) ticks.push(tick);
  return ticks;
}
