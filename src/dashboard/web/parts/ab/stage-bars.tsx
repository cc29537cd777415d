import type { Result } from '../../../../../queues/schemas.js';
import { formatDuration } from '../../format.js';
import { stageSpans } from '../../words.js';

/** Time by stage, on a scale that is shared with what stands beside it. */
export function StageBars({
  timings,
  longestMs,
}: {
  readonly timings: Result['timings'];
  readonly longestMs: number;
}) {
  const spans = stageSpans(timings).filter(({ name }) => name !== 'other');
  if (spans.length === 0) return null;
  return (
    <ul class="stage-bars small" aria-label="Time by stage">
      {spans.map(({ name, ms }) => (
        <li key={name}>
          <span>{name}</span>
          <span class="lane" aria-hidden="true">
            <i style={{ width: `${(ms / longestMs) * 100}%` }} />
          </span>
          <span class="num">{formatDuration(ms)}</span>
        </li>
      ))}
    </ul>
  );
}

/** The longest stage of several jobs. */
export function longestStage(results: readonly Result[]): number {
  return Math.max(1, ...results.flatMap(({ timings }) => stageSpans(timings).map(({ ms }) => ms)));
}
