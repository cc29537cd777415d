import { useEffect, useRef, useState } from 'preact/hooks';
import type { JobDetail } from '../../../api/schemas.js';
import { formatDuration, formatMoment } from '../../format.js';
import { now } from '../../live.js';
import { panned, placed, ticksOf, type View, zoomed } from '../../zoom.js';
import { Bar } from './bar.js';
import { type Timeline, timelineOf } from './spans.js';

/** Where the time of a job went: waiting, each attempt, and the stages of the last one. */
export function Waterfall({ detail }: { readonly detail: JobDetail }) {
  const isOver = detail.row.finishedAt !== null;
  const clock = now.use();
  const timeline = timelineOf(detail, isOver ? 0 : clock);
  const { whole, last } = timeline;
  const [chosen, setChosen] = useState<View | null>(null);
  const view = chosen ?? usualView(timeline);
  const zoom = (factor: number, at = (view.from + view.to) / 2) => setChosen(zoomed(view, factor, at, whole));
  const onKey = (event: KeyboardEvent) => {
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    setChosen(act(view, whole));
  };
  return (
    <section class="card">
      <div class="title-row">
        <h2>Time</h2>
        <div class="actions">
          <button type="button" onClick={() => zoom(0.5)} aria-label="Zoom in">
            +
          </button>
          <button type="button" onClick={() => zoom(2)} aria-label="Zoom out">
            −
          </button>
          <button type="button" onClick={() => setChosen(whole)}>
            All
          </button>
          {last && (
            <button type="button" onClick={() => setChosen(last)}>
              Last attempt
            </button>
          )}
        </div>
      </div>
      <Plot timeline={timeline} view={view} onZoom={zoom} onKey={onKey} />
      <p class="soft small">
        Ctrl and wheel zoom; so do + and − on the plot, and the arrow keys move it. Stages that take turns,
        frame by frame, are pale: busy for a part of the time that their bar spans.
      </p>
    </section>
  );
}

const keys: Readonly<Record<string, (view: View, whole: View) => View>> = {
  '+': (view, whole) => zoomed(view, 0.5, (view.from + view.to) / 2, whole),
  '-': (view, whole) => zoomed(view, 2, (view.from + view.to) / 2, whole),
  ArrowLeft: (view, whole) => panned(view, -0.2, whole),
  ArrowRight: (view, whole) => panned(view, 0.2, whole),
  '0': (_view, whole) => whole,
};

/** Where the wait dwarfs the work, the work is what is shown at first. */
function usualView({ whole, last }: Timeline): View {
  return last && last.to - last.from < (whole.to - whole.from) / 20 ? last : whole;
}

interface PlotProps {
  readonly timeline: Timeline;
  readonly view: View;
  onZoom(factor: number, at: number): void;
  onKey(event: KeyboardEvent): void;
}

function Plot({ timeline: { spans, firstTokenAt }, view, onZoom, onKey }: PlotProps) {
  const plot = useRef<HTMLDivElement>(null);
  useWheel(plot, view, onZoom);
  const hasRoom = (tick: number) => tick < view.to - (view.to - view.from) * 0.06;
  const ticks = ticksOf(view, 5);
  const step = (ticks[1] ?? 0) - (ticks[0] ?? 0);
  const first = firstTokenAt === null ? null : placed(view, firstTokenAt, firstTokenAt);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it is zoomed and moved with the keyboard
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for fields
    <div class="waterfall" ref={plot} role="group" aria-label="Time line" tabIndex={0} onKeyDown={onKey}>
      <ul>
        {spans.map((span, i) => (
          <Bar key={i} span={span} view={view} />
        ))}
      </ul>
      <div class="waterfall-axis" aria-hidden="true">
        {ticks.filter(hasRoom).map((tick) => (
          <span key={tick} style={{ left: `${placed(view, tick, tick)?.left}%` }}>
            {tick === 0 ? '0' : formatMoment(tick, step)}
          </span>
        ))}
        {first && <i style={{ left: `${first.left}%` }} />}
      </div>
      {firstTokenAt !== null && (
        <p class="first-token small">
          <i aria-hidden="true" /> first token {formatDuration(firstTokenAt)} after it was enqueued
        </p>
      )}
    </div>
  );
}

/** Zooms around the pointer. Without Ctrl the wheel scrolls the page, as everywhere. */
function useWheel(
  plot: { readonly current: HTMLDivElement | null },
  view: View,
  onZoom: PlotProps['onZoom'],
): void {
  useEffect(() => {
    const lane = plot.current?.querySelector('.waterfall-axis');
    const onWheel = (event: WheelEvent) => {
      if (!lane || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      const { left, width } = lane.getBoundingClientRect();
      const share = Math.max(0, Math.min(1, (event.clientX - left) / width));
      onZoom(event.deltaY > 0 ? 1.25 : 0.8, view.from + share * (view.to - view.from));
    };
    const element = plot.current;
    element?.addEventListener('wheel', onWheel, { passive: false });
    return () => element?.removeEventListener('wheel', onWheel);
  });
}
