import { Problem } from '../api.js';
import { useJob } from '../job.js';
import { Commands } from '../parts/copy.js';
import { About } from '../parts/job/about.js';
import { Answers } from '../parts/job/answers.js';
import { AskMore } from '../parts/job/ask-more.js';
import { JobHead } from '../parts/job/head.js';
import { Trouble } from '../parts/job/trouble.js';
import { Under } from '../parts/job/under-way.js';
import { Waterfall } from '../parts/job/waterfall.js';
import { Empty, Failure, Loading } from '../parts/notice.js';
import { Seen } from '../parts/sight/seen.js';
import { route } from '../router.js';

/** All that is known of a job, and why its answer is what it is. */
export function Job() {
  const id = route().id!;
  const { data, error, reload } = useJob(id);
  if (error instanceof Problem && error.status === 404) return <Gone id={id} />;
  if (!data) return error ? <Failure error={error} retry={reload} /> : <Loading />;
  const { row, document, commands } = data;
  // The document is written a moment before the queue says that the job is done.
  const isUnderWay = row.finishedAt === null && document?.status !== 'completed';
  return (
    <article class="job">
      <JobHead detail={data} onDone={reload} />
      <div class="stack main">
        {error && <Failure error={error} retry={reload} />}
        {isUnderWay && <Under detail={data} onEnd={reload} />}
        {(row.error || document?.status === 'failed') && <Trouble detail={data} />}
        {document?.status === 'completed' && <Answers result={document} />}
        <AskMore detail={data} />
      </div>
      <Seen detail={data} />
      <Waterfall detail={data} />
      <About detail={data} />
      <Commands of={commands} />
    </article>
  );
}

function Gone({ id }: { readonly id: string }) {
  return (
    <Empty title="There is no such job">
      <p>
        Nothing is left of the job <code>{id}</code>: it was removed, its document has expired, or it was
        never enqueued here.
      </p>
      <p>
        <a href="jobs">Show all jobs</a>
      </p>
    </Empty>
  );
}
