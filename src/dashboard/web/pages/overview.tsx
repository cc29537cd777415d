import { useEffect } from 'preact/hooks';
import type { Overview } from '../../api/schemas.js';
import { curl } from '../commands.js';
import { formatCount } from '../format.js';
import { followHours, overview } from '../live.js';
import { useLoaded } from '../load.js';
import { Commands } from '../parts/copy.js';
import { Failure, Loading } from '../parts/notice.js';
import { Ended } from '../parts/overview/ended.js';
import { Facts } from '../parts/overview/facts.js';
import { FirstSteps } from '../parts/overview/first-steps.js';
import { Stages } from '../parts/overview/stages.js';
import { Tiles } from '../parts/overview/tiles.js';
import { Workers } from '../parts/overview/workers.js';
import { Badge } from '../parts/state.js';
import { addressOf, navigate, query } from '../router.js';

const ranges: readonly (readonly [hours: number, word: string])[] = [
  [1, 'last hour'],
  [6, 'last 6 hours'],
  [24, 'last 24 hours'],
  [168, 'last 7 days'],
];

export function OverviewPage() {
  const hours = Number(query().get('hours')) || 1;
  const { data: read, error, isLoading, reload } = useLoaded<Overview>(`overview?hours=${hours}`);
  const heard = overview.use();
  const latest = heard && (!read || isLoading || heard.at >= read.at) ? heard : read;
  useEffect(() => followHours(hours), [hours]);
  if (!latest) return error ? <Failure error={error} retry={reload} /> : <Loading />;
  const isNew = Object.values(latest.counts).every((count) => count === 0);
  return (
    <>
      <div class="title-row">
        <h1>Overview</h1>
        {latest.queue.isPaused && <Badge tone="warn" icon="paused" word="queue paused" />}
        {!latest.index.isComplete && (
          <span class="soft">
            {formatCount(latest.index.jobs)} of {formatCount(latest.index.of)} jobs read so far
          </span>
        )}
        <label class="inline">
          Shown
          <select value={hours} onChange={(event) => navigate(`?hours=${event.currentTarget.value}`)}>
            {ranges.map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </select>
        </label>
      </div>
      {isNew && <FirstSteps />}
      <Tiles counts={latest.counts} />
      <div class="columns wide-first">
        <Ended series={latest.series} />
        <Facts overview={latest} />
      </div>
      <div class="columns">
        <Workers workers={latest.workers} />
        <Stages stages={latest.stages} />
      </div>
      <Commands
        of={[
          { title: 'Counts and workers', command: 'visionzip status' },
          { title: 'This page as JSON', command: curl(addressOf(`api/overview?hours=${hours}`)) },
        ]}
      />
    </>
  );
}
