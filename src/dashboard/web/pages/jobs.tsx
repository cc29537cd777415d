import { useEffect, useState } from 'preact/hooks';
import type { JobFilter } from '../../api/schemas.js';
import { useCalm } from '../calm.js';
import { curl } from '../commands.js';
import { filterOf, orderOf, queryOf } from '../filters.js';
import { plural } from '../format.js';
import { overview, useJobs } from '../live.js';
import { type Loaded, useLoaded } from '../load.js';
import { Commands } from '../parts/copy.js';
import { Bulk } from '../parts/jobs/bulk.js';
import { Filters } from '../parts/jobs/filters.js';
import { Paging, pageSize } from '../parts/jobs/paging.js';
import { Row } from '../parts/jobs/row.js';
import { Empty, Failure, Loading } from '../parts/notice.js';
import { FirstSteps } from '../parts/overview/first-steps.js';
import { addressOf, query } from '../router.js';
import { type FollowedList, withRow } from '../told.js';

export function Jobs() {
  const filter = filterOf(query());
  const order = orderOf(query());
  const offset = Math.max(0, Math.floor(Number(query().get('offset')) || 0));
  const wanted = queryOf(filter);
  wanted.set('order', order);
  wanted.set('offset', String(offset));
  wanted.set('limit', String(pageSize));
  const loaded = useLoaded<FollowedList>(`jobs?${wanted}`);
  const { data, error, reload } = loaded;
  const isRead = overview.use()?.index.isComplete ?? false;
  useEffect(() => {
    if (isRead && data && !data.index.isComplete) reload();
  }, [isRead, data]);
  return (
    <>
      <div class="title-row">
        <h1>Jobs</h1>
        {data && (
          <p class="soft" role="status">
            {plural(data.total, 'job')}
            {!data.index.isComplete && `, of ${plural(data.index.jobs, 'job')} that are read so far`}
          </p>
        )}
        {data && (
          <div class="actions">
            <Bulk filter={filter} isEmpty={data.total === 0} onDone={reload} />
          </div>
        )}
      </div>
      <Filters filter={filter} order={order} />
      {error && <Failure error={error} retry={reload} />}
      {!data && !error && <Loading />}
      <News loaded={loaded} key={wanted.toString()} />
      {data?.total === 0 && <Nothing filter={filter} />}
      {data && data.rows.length > 0 && (
        <ul class="job-list card" aria-busy={loaded.isLoading}>
          {data.rows.map((row) => (
            <Row key={row.id} row={row} />
          ))}
        </ul>
      )}
      {data && <Paging total={data.total} offset={offset} />}
      <Commands of={[{ title: 'This list as JSON', command: curl(addressOf(`api/jobs?${wanted}`)) }]} />
    </>
  );
}

/** How much later than a job came in the dashboard may hear of it, in milliseconds. */
const lagMs = 3_000;

/** Tells of what came in since the list was read. */
function News({ loaded }: { readonly loaded: Loaded<FollowedList> }) {
  const [since] = useState(Date.now() - lagMs);
  // In an empty list nothing can jump.
  const fill = useCalm(loaded.reload, 500);
  useJobs((row) => {
    if (loaded.data?.total === 0) fill();
    else loaded.change((list) => withRow(list, row, since));
  });
  const count = loaded.data?.news?.size ?? 0;
  if (count === 0) return null;
  return (
    <p class="news" role="status">
      {plural(count, 'job')} came in since this list was read.
      <button type="button" class="quiet" onClick={loaded.reload}>
        Read it again
      </button>
    </p>
  );
}

function Nothing({ filter }: { readonly filter: JobFilter }) {
  if (queryOf(filter).toString() === '') return <FirstSteps />;
  return (
    <Empty title="No job fits these conditions">
      <p>
        Leave one out, or <a href="jobs">show all jobs</a>.
      </p>
    </Empty>
  );
}
