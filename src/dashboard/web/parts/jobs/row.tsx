import type { JobRow } from '../../../api/schemas.js';
import { formatCount, formatDuration } from '../../format.js';
import { jobPath } from '../../routes.js';
import { Progress } from '../progress.js';
import { StateBadge } from '../state.js';
import { Ago } from '../time.js';

/** A job in a list: what was asked of what, what came of it, and what it cost. */
export function Row({ row }: { readonly row: JobRow }) {
  return (
    <li class="job-row">
      <StateBadge state={row.state} />
      <div class="job-what">
        <a href={jobPath(row.id)}>
          <strong>{row.video}</strong> <span>{row.question || (row.video === '' && row.id)}</span>
        </a>
        {row.questions > 1 && <span class="soft"> and {row.questions - 1} more</span>}
        <Outcome row={row} />
        <Origin row={row} />
      </div>
      <dl class="job-cost">
        <div>
          <dt class="unseen">took</dt>
          <dd>{durationText(row)}</dd>
        </div>
        <div>
          <dt class="unseen">visual tokens</dt>
          <dd>
            {row.tokens ? (
              <>
                {formatCount(row.tokens.before)} → {formatCount(row.tokens.after)}{' '}
                <span class="soft">tokens</span>
              </>
            ) : (
              ''
            )}
          </dd>
        </div>
        <div>
          <dt class="unseen">{row.finishedAt === null ? 'enqueued' : 'ended'}</dt>
          <dd class="soft">
            <Ago at={row.finishedAt ?? row.createdAt} />
          </dd>
        </div>
      </dl>
    </li>
  );
}

function durationText({ totalMs, cached }: JobRow) {
  if (totalMs === null) return '';
  return cached ? <span title="every answer was stored before">stored</span> : formatDuration(totalMs);
}

function Outcome({ row }: { readonly row: JobRow }) {
  if (row.state === 'active') return <Progress progress={row.progress} />;
  if (row.error) return <p class="job-error">{row.error}</p>;
  if (row.answers.length === 0) return null;
  const left = row.questions - row.answers.length;
  return (
    <p class="job-answer">
      {row.answers.join(' · ')}
      {left > 0 && ` · ${left} more`}
    </p>
  );
}

/** Where it comes from, where that is not plain. */
function Origin({ row }: { readonly row: JobRow }) {
  const notes = [
    row.model,
    row.dataset && `dataset ${row.dataset}`,
    row.attempts > 1 && `attempt ${row.attempts}`,
    row.reused === 'tokens' && 'encoded before',
    row.reused === 'prefix' && 'video held ready',
  ].filter(Boolean);
  return <p class="soft small">{notes.join(' · ')}</p>;
}
