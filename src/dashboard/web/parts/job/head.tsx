import { useState } from 'preact/hooks';
import type { JobDetail, JobRow, JobState } from '../../../api/schemas.js';
import { act, mayWrite, type Outcome } from '../../api.js';
import { states } from '../../filters.js';
import { formatDuration, plural } from '../../format.js';
import { addressOf } from '../../router.js';
import { jobPath } from '../../routes.js';
import { Icon } from '../icon.js';
import { Failure } from '../notice.js';
import { StateBadge } from '../state.js';
import { Ago } from '../time.js';

type Action = 'cancel' | 'retry';

interface HeadProps {
  readonly detail: JobDetail;
  onDone(): void;
}

export function JobHead({ detail, onDone }: HeadProps) {
  const { row } = detail;
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const run = async (action: Action) => {
    setError(null);
    await act(row.id, action).then(setOutcome, setError);
    onDone();
  };
  return (
    <header class="job-head">
      <p class="soft small">
        <a href="jobs">Jobs</a> / <code>{row.id}</code>
      </p>
      <h1>
        <bdi>{row.question || row.id}</bdi> <span class="of-video">{row.video}</span>
      </h1>
      <p class="head-line">
        <StateBadge state={row.state} />
        <Story detail={detail} />
      </p>
      <div class="actions">
        <Buttons row={row} onAct={run} />
        <Ways row={row} canCompare={detail.job !== null} />
      </div>
      <p role="status" class="outcome">
        {outcome && outcomes[outcome].holdsIn.includes(row.state) && outcomes[outcome].text}
      </p>
      {error && <Failure error={error} />}
    </header>
  );
}

/** Where one may go from here. */
function Ways({ row, canCompare }: { readonly row: JobRow; readonly canCompare: boolean }) {
  const api = `api/${jobPath(row.id)}`;
  return (
    <>
      {canCompare && (
        <a class="button" href={`compare?${new URLSearchParams({ from: row.id })}`}>
          <Icon name="compare" />
          Compare compression
        </a>
      )}
      <a class="button" href={`versus?${new URLSearchParams({ a: row.id })}`}>
        Beside another job
      </a>
      <a class="button" href={addressOf(`${api}/page`)} data-plain download={`${row.id}.html`}>
        <Icon name="download" />
        Page to send
      </a>
      <a class="button" href={addressOf(api)} data-plain>
        JSON
      </a>
    </>
  );
}

function Story({ detail: { row } }: { readonly detail: JobDetail }) {
  return (
    <span class="soft">
      {row.questions > 1 && `${plural(row.questions, 'question')} · `}
      enqueued <Ago at={row.createdAt} />
      {row.finishedAt !== null && (
        <>
          {' · '}ended <Ago at={row.finishedAt} />
        </>
      )}
      {row.totalMs !== null && ` · took ${formatDuration(row.totalMs)}`}
      {row.cached && ' · answered before: nothing was computed again'}
      {row.reused === 'tokens' && ' · the video was encoded before'}
      {row.reused === 'prefix' && ' · the video lay ready in the model'}
    </span>
  );
}

/** What came of a button, and in which states of the job that is still to be said. */
const outcomes: Record<Outcome, { readonly text: string; readonly holdsIn: readonly JobState[] }> = {
  cancelled: { text: 'The job is cancelled.', holdsIn: ['cancelled'] },
  requested: { text: 'The worker was told to stop; it does so soon.', holdsIn: ['active'] },
  finished: { text: 'The job has ended already.', holdsIn: ['completed', 'failed', 'cancelled'] },
  unknown: { text: 'The queue no longer knows this job.', holdsIn: states },
  retried: { text: 'The job is back in the queue.', holdsIn: ['waiting', 'delayed'] },
};

function Buttons({ row, onAct }: { readonly row: JobRow; onAct(action: Action): void }) {
  if (!mayWrite()) return null;
  const canRetry = row.state === 'failed' || row.state === 'cancelled';
  return (
    <>
      {row.finishedAt === null && (
        <button type="button" class="danger" onClick={() => onAct('cancel')}>
          <Icon name="cancelled" />
          Cancel
        </button>
      )}
      {canRetry && (
        <button type="button" class="primary" onClick={() => onAct('retry')}>
          <Icon name="retry" />
          Retry
        </button>
      )}
    </>
  );
}
