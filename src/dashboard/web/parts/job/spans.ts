import type { JobDetail } from '../../../api/schemas.js';
import { stageSpans } from '../../words.js';
import type { View } from '../../zoom.js';

/** A bar of the waterfall; times in milliseconds since the job was enqueued. */
export interface Span {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly kind: 'wait' | 'attempt' | 'failed' | 'stage';
  /** How long it was busy, where that is less than from its start to its end. */
  readonly busyMs?: number;
  /** What is said of it besides its length. */
  readonly note: string | null;
}

export interface Timeline {
  readonly spans: readonly Span[];
  readonly firstTokenAt: number | null;
  readonly whole: View;
  /** The last attempt, which is what mostly is to be looked at. */
  readonly last: View | null;
}

/** What came before the first stage, such as loading the model: its end is known by the length of the stages. */
function startUp(from: number, to: number): Span {
  return { name: 'starting', from, to, kind: 'stage', note: null };
}

/** The wait, the attempts, and within the last one its stages. `now` ends what still goes on. */
export function timelineOf({ row, attempts, document }: JobDetail, now: number): Timeline {
  const since = (at: number) => Math.max(0, at - row.createdAt);
  const end = row.finishedAt ?? now;
  const started = attempts.filter(({ startedAt }) => startedAt !== null);
  const first = started[0]?.startedAt ?? row.startedAt;
  const wait: Span = { name: 'in the queue', from: 0, to: since(first ?? end), kind: 'wait', note: null };
  const tries = started.map(
    ({ attempt, startedAt, endedAt, reason, worker }): Span => ({
      name: started.length > 1 ? `attempt ${attempt}` : 'attempt',
      from: since(startedAt!),
      to: since(endedAt ?? end),
      kind: reason === null ? 'attempt' : 'failed',
      note: reason ?? worker,
    }),
  );
  const last = tries.at(-1);
  const timings = document?.status === 'completed' ? document.timings : null;
  const start = timings && last ? Math.max(last.from, last.to - timings.totalMs) : null;
  const stages = timings && start !== null ? stageSpans(timings) : [];
  const spans = [
    wait,
    ...tries,
    ...(last && start !== null && start - last.from >= 1 ? [startUp(last.from, start)] : []),
    ...stages.map(
      ({ name, startMs, endMs, ms }): Span => ({
        name,
        from: start! + startMs,
        to: start! + endMs,
        busyMs: ms,
        kind: 'stage',
        note: null,
      }),
    ),
  ];
  return {
    spans,
    firstTokenAt: timings && start !== null && timings.firstTokenMs > 0 ? start + timings.firstTokenMs : null,
    whole: { from: 0, to: Math.max(1, ...spans.map(({ to }) => to)) },
    last: last ? { from: last.from, to: Math.max(last.to, last.from + 1) } : null,
  };
}
