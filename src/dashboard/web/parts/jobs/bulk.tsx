import { useState } from 'preact/hooks';
import type { z } from 'zod';
import type { bulkOutcomeSchema, JobFilter, JobList } from '../../../api/schemas.js';
import { mayWrite, write } from '../../api.js';
import { queryOf, statesFor } from '../../filters.js';
import { formatCount, plural } from '../../format.js';
import { useLoaded } from '../../load.js';
import { Confirm } from '../confirm.js';
import { Icon } from '../icon.js';

type Action = 'cancel' | 'retry';
type Outcome = z.infer<typeof bulkOutcomeSchema>;

/** What the API does in one go. */
const mostAtOnce = 100_000;

interface BulkProps {
  readonly filter: JobFilter;
  readonly actions?: readonly Action[];
  readonly noun?: string;
  /** Whether there is nothing to do it to. What was done is still told then. */
  readonly isEmpty?: boolean;
  /** Called when whoever did it has read what came of it. */
  onDone(): void;
}

/** Cancels or retries all jobs that a filter finds, after it said how many those are. */
export function Bulk({
  filter,
  actions = ['cancel', 'retry'],
  noun = 'these',
  isEmpty = false,
  onDone,
}: BulkProps) {
  const [action, setAction] = useState<Action | null>(null);
  if (!mayWrite()) return null;
  return (
    <>
      {actions
        .filter((name) => !isEmpty && statesFor(name, filter.state).length > 0)
        .map((name) => (
          <button key={name} type="button" onClick={() => setAction(name)}>
            <Icon name={name === 'cancel' ? 'cancelled' : 'retry'} />
            {name === 'cancel' ? 'Cancel' : 'Retry'} {noun}…
          </button>
        ))}
      {action && (
        <BulkDialog
          action={action}
          filter={{ ...filter, state: statesFor(action, filter.state) }}
          onClose={() => setAction(null)}
          onDone={onDone}
        />
      )}
    </>
  );
}

interface DialogProps {
  readonly action: Action;
  readonly filter: JobFilter;
  onClose(): void;
  onDone(): void;
}

function BulkDialog({ action, filter, onClose, onDone }: DialogProps) {
  const query = queryOf(filter);
  query.set('limit', '1');
  const { data, error } = useLoaded<JobList>(`jobs?${query}`);
  const [outcome, setOutcome] = useState<Outcome | null>(null);
  const total = data?.total ?? 0;
  const verb = action === 'cancel' ? 'Cancel' : 'Retry';
  const confirm = async () => {
    const limit = Math.min(total, mostAtOnce);
    setOutcome(await write<Outcome>('jobs/bulk', { action, filter, limit }));
  };
  const close = () => {
    onClose();
    if (outcome) onDone();
  };
  const canDo = data !== null && total > 0 && outcome === null;
  return (
    <Confirm
      title={data ? `${verb} ${plural(total, 'job')}?` : `${verb} jobs`}
      verb={canDo ? `${verb} ${plural(Math.min(total, mostAtOnce), 'job')}` : null}
      isDangerous={action === 'cancel'}
      onConfirm={confirm}
      onClose={close}
    >
      {error && <p role="alert">{error.message}</p>}
      {!data && !error && <p>Counting…</p>}
      {outcome ? (
        <p role="status">{outcomeText(action, outcome)}</p>
      ) : (
        data && <p>{warningText(action, total)}</p>
      )}
    </Confirm>
  );
}

function warningText(action: Action, total: number): string {
  if (total === 0)
    return action === 'cancel'
      ? 'None of these jobs waits or runs: there is nothing to cancel.'
      : 'None of these jobs has failed or was cancelled: there is nothing to retry.';
  if (total > mostAtOnce)
    return `The oldest ${formatCount(mostAtOnce)} of them are taken; do it again for the others.`;
  return action === 'cancel'
    ? 'Those that wait are taken out of the queue, those that run are stopped. What they have done so far is lost.'
    : 'They go back into the queue, and are done again from the start.';
}

function outcomeText(action: Action, { matched, done, skipped }: Outcome): string {
  const verb = action === 'cancel' ? 'cancelled, or told to stop' : 'put back into the queue';
  const left = skipped > 0 ? ` ${plural(skipped, 'job')} had moved on meanwhile.` : '';
  return `${formatCount(done)} of ${plural(matched, 'job')} ${verb}.${left}`;
}
