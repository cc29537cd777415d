import type { Dataset } from '../../../api/schemas.js';
import { formatCount, formatDuration, formatShare } from '../../format.js';
import { Meter } from '../meter.js';
import { DatasetBadge } from '../state.js';
import { Ago } from '../time.js';
import { Buttons } from './buttons.js';

interface CardProps {
  readonly dataset: Dataset;
  /** Whether it has a page of its own around it, which names it. */
  readonly isNamed?: boolean;
  onDone(): void;
}

/** How far a run is, and how good its answers are so far. */
export function DatasetCard({ dataset, isNamed = false, onDone }: CardProps) {
  const { id, name, state, startedAt, updatedAt, host, model } = dataset;
  return (
    <section class="card dataset">
      <div class="title-row">
        {!isNamed && (
          <h2>
            <a href={`datasets/${encodeURIComponent(id)}`}>{name}</a>
          </h2>
        )}
        <DatasetBadge state={state} />
        <div class="actions">
          <Buttons dataset={dataset} onDone={onDone} />
        </div>
      </div>
      <HowFar dataset={dataset} />
      <Accuracy dataset={dataset} />
      <p class="soft small">
        {model && `${model} · `}on {host} · started <Ago at={startedAt} /> · last heard of{' '}
        <Ago at={updatedAt} />
      </p>
    </section>
  );
}

export function HowFar({ dataset }: { readonly dataset: Dataset }) {
  const { total, done, failed, cancelled, rowsPerMinute, secondsLeft } = dataset;
  const over = done + failed + cancelled;
  const notes = [
    total === null
      ? `${formatCount(over)} rows; they are being counted`
      : `${formatCount(over)} of ${formatCount(total)} rows`,
    failed > 0 && `${formatCount(failed)} failed`,
    cancelled > 0 && `${formatCount(cancelled)} cancelled`,
    rowsPerMinute !== null &&
      `${rowsPerMinute < 10 ? rowsPerMinute.toFixed(1) : formatCount(rowsPerMinute)} a minute`,
    secondsLeft !== null && secondsLeft > 0 && `${formatDuration(secondsLeft * 1000)} left`,
  ];
  const text = notes.filter(Boolean).join(' · ');
  return (
    <div>
      {total !== null && (
        <Meter share={total > 0 ? over / total : 1} label={text} tone={failed > 0 ? 'warn' : 'busy'} />
      )}
      <p>{text}</p>
    </div>
  );
}

function Accuracy({ dataset: { accuracy, state } }: { readonly dataset: Dataset }) {
  if (!accuracy || accuracy.count === 0) return null;
  return (
    <p>
      <strong>{formatShare(accuracy.value)}</strong> right{state === 'done' ? '' : ' so far'}{' '}
      <span class="soft">
        ({formatCount(accuracy.right)} of {formatCount(accuracy.count)}; with 95 % confidence{' '}
        {formatShare(accuracy.low)} to {formatShare(accuracy.high)})
      </span>
    </p>
  );
}
