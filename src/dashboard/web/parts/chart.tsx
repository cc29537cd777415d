import { useEffect, useRef } from 'preact/hooks';
import uPlot from 'uplot';
import type { Overview } from '../../api/schemas.js';
import { formatCount } from '../format.js';
import { colourOf, useDark } from './colour.js';

type Series = Overview['series'];

/** Jobs that ended over time, as stacked bars; the numbers stand in a table beside it. */
export function EndedChart({ series }: { readonly series: Series }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const isDark = useDark();
  useEffect(() => {
    const made = new uPlot(
      optionsOf(box.current!.clientWidth, series.stepSeconds),
      dataOf(series),
      box.current!,
    );
    plot.current = made;
    const resize = new ResizeObserver(([entry]) => {
      made.setSize({ width: Math.floor(entry!.contentRect.width), height: chartHeight });
    });
    resize.observe(box.current!);
    return () => {
      resize.disconnect();
      made.destroy();
    };
  }, [isDark, series.stepSeconds]);
  useEffect(() => plot.current?.setData(dataOf(series)), [series, isDark]);
  return <div class="chart" ref={box} aria-hidden="true" />;
}

const chartHeight = 260;

/** Each series is drawn from zero, the highest first, so that the next one covers what is not its own. */
function dataOf({ points }: Series): uPlot.AlignedData {
  return [
    points.map(({ at }) => at / 1000),
    points.map(({ completed, failed, cancelled }) => completed + failed + cancelled),
    points.map(({ completed, failed }) => completed + failed),
    points.map(({ completed }) => completed),
  ];
}

function optionsOf(width: number, stepSeconds: number): uPlot.Options {
  const bars = uPlot.paths.bars!({ size: [0.75, 40], align: 1 });
  const stack = (label: string, colour: string) => ({
    label,
    fill: colourOf(colour),
    stroke: colourOf(colour),
    width: 0,
    paths: bars,
    points: { show: false },
  });
  const axis = {
    stroke: colourOf('--soft'),
    grid: { stroke: colourOf('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width,
    height: chartHeight,
    legend: { show: false },
    cursor: { show: false },
    // A bar begins at its time: the last one needs room behind it.
    scales: {
      x: { range: (_plot, min, max) => [min, max + stepSeconds] },
      y: { range: (_plot, _min, max) => [0, Math.max(4, max * 1.1)] },
    },
    axes: [
      { ...axis, grid: { show: false }, size: 30, space: 70, values: (_plot, ticks) => ticks.map(clockText) },
      {
        ...axis,
        size: 48,
        incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000],
        values: (_plot, ticks) => ticks.map(formatCount),
      },
    ],
    series: [{}, stack('cancelled', '--off'), stack('failed', '--bad'), stack('completed', '--ok')],
  };
}

/** The time of day, or the day where that begins. */
function clockText(seconds: number): string {
  const at = new Date(seconds * 1000);
  if (at.getHours() === 0 && at.getMinutes() === 0)
    return at.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
  return at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
}
