import type { ResultDocument } from '../../../../../queues/schemas.js';
import type { JobRow } from '../../../api/schemas.js';
import { formatCount, formatDuration, formatTimes } from '../../format.js';
import { useJob } from '../../job.js';
import { jobPath } from '../../routes.js';
import { useStream } from '../../stream.js';
import { differences, questionText } from '../../words.js';
import { AnswerText } from '../job/answers.js';
import { Texts } from '../job/under-way.js';
import { Meter } from '../meter.js';
import { Progress } from '../progress.js';
import { StateBadge } from '../state.js';
import { StageBars } from './stage-bars.js';

export interface ColumnState {
  readonly row: JobRow | null;
  readonly document: ResultDocument | null;
  readonly texts: readonly string[];
  readonly questions: readonly string[];
}

/** A job as a column follows it: its text as it is written, then its document. */
export function useColumn(id: string | null): ColumnState {
  const { data } = useJob(id);
  const detail = data?.row.id === id ? data : null;
  const { texts, document } = useStream(id !== null && detail && !detail.document ? id : null);
  const questions = detail?.job?.questions.map(questionText) ?? (detail ? [detail.row.question] : []);
  return { row: detail?.row ?? null, document: document ?? detail?.document ?? null, texts, questions };
}

interface ColumnProps {
  readonly title: string;
  readonly id: string;
  readonly state: ColumnState;
  /** The one compared with; null in its own column. */
  readonly base: ResultDocument | null;
  /** Of all columns the longest, so that bars can be compared. */
  readonly longestMs: number;
}

export function ResultColumn({ title, id, state, base, longestMs }: ColumnProps) {
  const { row, document, texts, questions } = state;
  return (
    <section class="card">
      <h2>{title}</h2>
      <div aria-live="polite">
        {!document && row && <Waiting row={row} />}
        {!document && <Texts questions={questions} texts={texts} />}
        {document?.status === 'completed' &&
          document.answers.map((answer, i) => (
            <div key={i} class="column-answer">
              {document.answers.length > 1 && <p class="question">{answer.question}</p>}
              <AnswerText answer={answer} />
            </div>
          ))}
        {document && document.status !== 'completed' && <p class="job-error">{document.error}</p>}
      </div>
      {document?.status === 'completed' && (
        <>
          {base?.status === 'completed' && (
            <ul class="differences">
              {differences(base, document).map((text) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
          )}
          <Figures result={document} />
          <StageBars timings={document.timings} longestMs={longestMs} />
        </>
      )}
      <p class="small">
        <a href={jobPath(id)}>Show the job</a>
      </p>
    </section>
  );
}

function Waiting({ row }: { readonly row: JobRow }) {
  return (
    <>
      <p>
        <StateBadge state={row.state} />
      </p>
      {row.state === 'active' && <Progress progress={row.progress} />}
    </>
  );
}

export function Figures({
  result: { tokens, timings, plan, cached },
}: {
  readonly result: Extract<ResultDocument, { status: 'completed' }>;
}) {
  return (
    <dl class="facts">
      <div>
        <dt>Visual tokens</dt>
        <dd>
          <strong>{formatCount(tokens.after)}</strong>{' '}
          <span class="soft">
            of {formatCount(tokens.before)}
            {tokens.after < tokens.before && `, ${formatTimes(tokens.before / tokens.after)} fewer`}
          </span>
          <Meter
            share={tokens.before > 0 ? tokens.after / tokens.before : 0}
            label="Visual tokens that are left"
          />
        </dd>
      </div>
      <div>
        <dt>Frames</dt>
        <dd>{formatCount(plan.frames)}</dd>
      </div>
      <div>
        <dt>Time in the worker</dt>
        <dd>
          <strong>{formatDuration(timings.totalMs)}</strong>{' '}
          <span class="soft">
            {cached ? 'stored before' : `first token after ${formatDuration(timings.firstTokenMs)}`}
          </span>
        </dd>
      </div>
    </dl>
  );
}
