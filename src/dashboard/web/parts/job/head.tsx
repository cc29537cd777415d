import { useState } from 'preact/hooks';
import type { JobDetail } from '../../../api/schemas.js';
import { act, mayWrite, type Outcome } from '../../api.js';
import { formatDuration, plural } from '../../format.js';
import { addressOf } from '../../router.js';
import { jobPath } from '../../routes.js';
import { Icon } from '../icon.js';
import { Failure } from '../notice.js';
import { StateBadge } from '../state.js';
import { Ago } from '../time.js';

interface HeadProps {
  readonly detail: JobDetail;
  onDone(): void;
}

export function JobHead({ detail, onDone }: HeadProps) {
  const { row } = detail;
  const api = `api/${jobPath(row.id)}`;
  return (
    <header class="job-head">
      <p class="soft small">
        <a href="jobs">Jobs</a> / <code>{row.id}</code>
      </p>
      <h1>
        {row.question} <span class="of-video">{row.video}</span>
      </h1>
      <p class="head-line">
        <StateBadge state={row.state} />
        <Story detail={detail} />
      </p>
      <div class="actions">
        <Buttons detail={detail} onDone={onDone} />
        {detail.job && (
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
      </div>
    </header>
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

const outcomeText: Record<Outcome, string> = {
  cancelled: 'The job is cancelled.',
  requested: 'The worker was told to stop; it does so soon.',
  finished: 'The job has ended already.',
  unknown: 'The queue no longer knows this job.',
  retried: 'The job is back in the queue.',
};

function Buttons({ detail: { row }, onDone }: HeadProps) {
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const [error, setError] = useState<Error | null>(null);
  if (!mayWrite()) return null;
  const run = async (action: 'cancel' | 'retry') => {
    setError(null);
    await act(row.id, action).then(setOutcome, setError);
    onDone();
  };
  const canCancel = row.finishedAt === null;
  const canRetry = row.state === 'failed' || row.state === 'cancelled';
  return (
    <>
      {canCancel && (
        <button type="button" class="danger" onClick={() => run('cancel')}>
          <Icon name="cancelled" />
          Cancel
        </button>
      )}
      {canRetry && (
        <button type="button" class="primary" onClick={() => run('retry')}>
          <Icon name="retry" />
          Retry
        </button>
      )}
      <span role="status">{outcome && outcomeText[outcome]}</span>
      {error && <Failure error={error} />}
    </>
  );
}
