import type { TargetedSubmitEvent } from 'preact';
import type { JobDetail } from '../../api/schemas.js';
import { curl } from '../commands.js';
import { useJob } from '../job.js';
import { Figures } from '../parts/ab/column.js';
import { Settings } from '../parts/ab/settings.js';
import { longestStage, StageBars } from '../parts/ab/stage-bars.js';
import { Commands } from '../parts/copy.js';
import { AnswerText } from '../parts/job/answers.js';
import { Empty, Failure, Loading } from '../parts/notice.js';
import { StateBadge } from '../parts/state.js';
import { addressOf, navigate, query } from '../router.js';
import { jobPath } from '../routes.js';
import { differences } from '../words.js';

/** Two jobs side by side: in what they differ, and what came of it. */
export function Versus() {
  const a = query().get('a');
  const b = query().get('b');
  const first = useJob(a || null);
  const second = useJob(b || null);
  return (
    <>
      <h1>Two jobs side by side</h1>
      <Which a={a} b={b} />
      {first.error && <Failure error={first.error} retry={first.reload} />}
      {second.error && <Failure error={second.error} retry={second.reload} />}
      {(!a || !b) && (
        <Empty title="Two jobs are wanted">
          <p>
            Give the ids of both above. The page of a job has a link that fills in one; the{' '}
            <a href="jobs">list of jobs</a> has the other.
          </p>
        </Empty>
      )}
      {a && b && !first.error && !second.error && (!first.data || !second.data) && <Loading />}
      {first.data && second.data && <Both first={first.data} second={second.data} />}
    </>
  );
}

function Which({ a, b }: { readonly a: string | null; readonly b: string | null }) {
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const wanted = new URLSearchParams();
    for (const name of ['a', 'b']) wanted.set(name, String(fields.get(name)).trim());
    navigate(`versus?${wanted}`);
  };
  const swapped = new URLSearchParams({ a: b ?? '', b: a ?? '' });
  return (
    <form class="card compare-form" onSubmit={submit} key={`${a} ${b}`}>
      <label class="field grow">
        First job
        <input name="a" required defaultValue={a ?? ''} />
      </label>
      <label class="field grow">
        Second job
        <input name="b" required defaultValue={b ?? ''} />
      </label>
      <button type="submit" class="primary">
        Show
      </button>
      {a && b && (
        <a class="button" href={`versus?${swapped}`}>
          Swap
        </a>
      )}
    </form>
  );
}

function Both({ first, second }: { readonly first: JobDetail; readonly second: JobDetail }) {
  const results = [first, second].flatMap(({ document }) =>
    document?.status === 'completed' ? [document] : [],
  );
  const [one, other] = results;
  return (
    <>
      {one && other && (
        <section class="card">
          <h2>The second against the first</h2>
          <ul class="differences">
            {differences(one, other).map((text) => (
              <li key={text}>{text}</li>
            ))}
          </ul>
        </section>
      )}
      <Settings first={first} second={second} />
      <div class="columns">
        {[first, second].map((detail) => (
          <Side key={detail.row.id} detail={detail} longestMs={longestStage(results)} />
        ))}
      </div>
      <Commands
        of={[first, second].map(({ row }) => ({
          title: `${row.id} as JSON`,
          command: curl(addressOf(`api/${jobPath(row.id)}`)),
        }))}
      />
    </>
  );
}

function Side({
  detail: { row, document },
  longestMs,
}: {
  readonly detail: JobDetail;
  readonly longestMs: number;
}) {
  return (
    <section class="card">
      <h2>
        <a href={jobPath(row.id)}>{row.video || row.id}</a>
      </h2>
      <p>
        <StateBadge state={row.state} />
      </p>
      {document?.status === 'completed' &&
        document.answers.map((answer, i) => (
          <div key={i} class="column-answer">
            <p class="question">{answer.question}</p>
            <AnswerText answer={answer} />
          </div>
        ))}
      {row.error && <p class="job-error">{row.error}</p>}
      {document?.status === 'completed' && (
        <>
          <Figures result={document} />
          <StageBars timings={document.timings} longestMs={longestMs} />
        </>
      )}
    </section>
  );
}
