import type { Overview } from '../../../api/schemas.js';
import { formatCount } from '../../format.js';
import { EndedChart } from '../chart.js';
import { Icon } from '../icon.js';
import { Scroll } from '../scroll.js';

type Point = Overview['series']['points'][number];

/** Throughput and failures over time. */
export function Ended({ series }: { readonly series: Overview['series'] }) {
  const sum = (name: 'completed' | 'failed' | 'cancelled') =>
    series.points.reduce((total, point) => total + point[name], 0);
  return (
    <section class="card">
      <h2>Jobs that ended</h2>
      <p class="legend">
        {(['completed', 'failed', 'cancelled'] as const).map((name) => (
          <span key={name} class={`key-${name}`}>
            <Icon name={name} />
            {formatCount(sum(name))} {name}
          </span>
        ))}
        <span class="soft">in steps of {stepText(series.stepSeconds)}</span>
      </p>
      <EndedChart series={series} />
      <details>
        <summary>As a table</summary>
        <PointTable points={series.points.filter(isBusy)} />
      </details>
    </section>
  );
}

function isBusy({ completed, failed, cancelled }: Point): boolean {
  return completed + failed + cancelled > 0;
}

function stepText(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function PointTable({ points }: { readonly points: readonly Point[] }) {
  if (points.length === 0) return <p class="soft">No job ended in this time.</p>;
  return (
    <Scroll label="Jobs that ended, as a table">
      <table>
        <thead>
          <tr>
            <th scope="col">from</th>
            <th scope="col" class="num">
              completed
            </th>
            <th scope="col" class="num">
              failed
            </th>
            <th scope="col" class="num">
              cancelled
            </th>
          </tr>
        </thead>
        <tbody>
          {points.toReversed().map(({ at, completed, failed, cancelled }) => (
            <tr key={at}>
              <td>{new Date(at).toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'short' })}</td>
              <td class="num">{completed}</td>
              <td class="num">{failed}</td>
              <td class="num">{cancelled}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
