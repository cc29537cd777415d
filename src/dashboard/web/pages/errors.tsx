import type { ErrorGroup, JobFilter } from '../../api/schemas.js';
import { curl } from '../commands.js';
import { filterOf, queryOf } from '../filters.js';
import { plural } from '../format.js';
import { useLoaded } from '../load.js';
import { Commands } from '../parts/copy.js';
import { Icon } from '../parts/icon.js';
import { Bulk } from '../parts/jobs/bulk.js';
import { Empty, Failure, Loading } from '../parts/notice.js';
import { Ago } from '../parts/time.js';
import { addressOf, query } from '../router.js';
import { jobPath, withQuery } from '../routes.js';

interface ErrorList {
  readonly groups: readonly ErrorGroup[];
}

/** Failures that differ in names and numbers alone, together. */
export function Errors() {
  const filter = filterOf(query());
  const path = withQuery('errors', queryOf(filter));
  const { data, error, reload } = useLoaded<ErrorList>(path);
  const total = data?.groups.reduce((sum, { count }) => sum + count, 0) ?? 0;
  return (
    <>
      <div class="title-row">
        <h1>Errors</h1>
        {data && total > 0 && (
          <p class="soft">
            {plural(total, 'failure')} of {plural(data.groups.length, 'kind')}
          </p>
        )}
        <button type="button" onClick={reload}>
          Read again
        </button>
      </div>
      {error && <Failure error={error} retry={reload} />}
      {!data && !error && <Loading />}
      {data?.groups.length === 0 && (
        <Empty title="No job has failed">
          <p>Failures are gathered here by what went wrong, with a job to look at for each.</p>
        </Empty>
      )}
      {data && data.groups.length > 0 && (
        <ul class="error-list">
          {data.groups.map((group) => (
            <Group key={`${group.fault} ${group.errorClass}`} group={group} filter={filter} onDone={reload} />
          ))}
        </ul>
      )}
      <Commands of={[{ title: 'The same as JSON', command: curl(addressOf(`api/${path}`)) }]} />
    </>
  );
}

interface GroupProps {
  readonly group: ErrorGroup;
  readonly filter: JobFilter;
  onDone(): void;
}

function Group({ group, filter, onDone }: GroupProps) {
  const { errorClass, fault, count, firstAt, lastAt, example } = group;
  const these: JobFilter = { ...filter, state: ['failed'], errorClass };
  return (
    <li class="card error-group">
      <div class="title-row">
        <h2>{errorClass}</h2>
        <span class="badge tone-bad">
          <Icon name="failed" />
          {plural(count, 'job')}
        </span>
        {fault && <span class="badge tone-idle">{faultText[fault]}</span>}
      </div>
      <p class="soft">
        first <Ago at={firstAt} />, last <Ago at={lastAt} />
      </p>
      <blockquote>
        <p>{example.error}</p>
        <footer>
          such as <a href={jobPath(example.id)}>{example.video || example.id}</a>
        </footer>
      </blockquote>
      <div class="actions">
        <a class="button" href={withQuery('jobs', queryOf(these))}>
          Show these
        </a>
        <Bulk filter={these} actions={['retry']} noun="these" onDone={onDone} />
      </div>
    </li>
  );
}

const faultText: Record<NonNullable<ErrorGroup['fault']>, string> = {
  question: 'of the question',
  video: 'of the video',
  model: 'of the model',
  settings: 'of the settings',
  internal: 'of the machine or the program',
};
