import type { Overview } from '../../../api/schemas.js';
import { formatCount, formatDuration } from '../../format.js';
import { spaced } from '../../words.js';
import { Scroll } from '../scroll.js';

/** Where the time of the jobs went. The bars show the median in the 90th percentile in the 99th. */
export function Stages({ stages }: { readonly stages: Overview['stages'] }) {
  const longest = Math.max(1, ...stages.map(({ p99 }) => p99));
  return (
    <section class="card">
      <h2>Where the time goes</h2>
      {stages.length === 0 ? (
        <p class="soft">No job was computed in this time.</p>
      ) : (
        <Scroll label="Time by stage">
          <table class="stages">
            <thead>
              <tr>
                <th scope="col">stage</th>
                <th scope="col" class="bar-cell">
                  <span class="unseen">bars</span>
                </th>
                <th scope="col" class="num">
                  p50
                </th>
                <th scope="col" class="num">
                  p90
                </th>
                <th scope="col" class="num">
                  p99
                </th>
              </tr>
            </thead>
            <tbody>
              {stages.map((row) => (
                <StageRow key={row.stage} row={row} longest={longest} />
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </section>
  );
}

function StageRow({ row, longest }: { readonly row: Overview['stages'][number]; readonly longest: number }) {
  const { stage, count, p50, p90, p99 } = row;
  return (
    <tr title={`of ${formatCount(count)} jobs`}>
      <th scope="row">{spaced(stage)}</th>
      <td class="bar-cell">
        <div class="bars" aria-hidden="true">
          {[p99, p90, p50].map((ms, i) => (
            <span key={i} class={`bar-${i}`} style={{ width: `${(ms / longest) * 100}%` }} />
          ))}
        </div>
      </td>
      <td class="num">{formatDuration(p50)}</td>
      <td class="num">{formatDuration(p90)}</td>
      <td class="num">{formatDuration(p99)}</td>
    </tr>
  );
}
