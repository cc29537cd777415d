import type { TargetedSubmitEvent } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { AskJob, ResultDocument } from '../../../../../queues/schemas.js';
import type { JobDetail } from '../../../api/schemas.js';
import { ask, mayWrite } from '../../api.js';
import { jobPath } from '../../routes.js';
import { useStream } from '../../stream.js';
import { Failure } from '../notice.js';
import { AnswerText } from './answers.js';

interface Asked {
  readonly id: string;
  readonly question: string;
}

/** So many are listened to at a time, each by a connection of its own: a browser opens six, and the page itself needs some. */
const mostHeard = 2;

/** Another question about the same video, with the same frames and tokens. */
export function AskMore({ detail: { job } }: { readonly detail: JobDetail }) {
  const [asked, setAsked] = useState<readonly Asked[]>([]);
  const [answered, setAnswered] = useState<ReadonlySet<string>>(new Set());
  const heard = new Set(
    asked
      .map(({ id }) => id)
      .filter((id) => !answered.has(id))
      .slice(0, mostHeard),
  );
  if (!job || !mayWrite()) return null;
  return (
    <section class="card">
      <h2>Ask this video something else</h2>
      {asked.length > 0 && (
        <ol class="answers">
          {asked.map(({ id, question }) => (
            <Reply
              key={id}
              id={id}
              question={question}
              isHeard={heard.has(id)}
              onAnswer={() => setAnswered((before) => new Set(before).add(id))}
            />
          ))}
        </ol>
      )}
      <AskForm job={job} onAsked={(one) => setAsked((before) => [...before, one])} />
    </section>
  );
}

function AskForm({ job, onAsked }: { readonly job: AskJob; onAsked(asked: Asked): void }) {
  const [error, setError] = useState<Error | null>(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const fields = new FormData(form);
    const question = String(fields.get('question')).trim();
    setBusy(true);
    setError(null);
    try {
      const id = await ask({ ...sameVideo(job), questions: [withOptions(question, fields.get('options'))] });
      onAsked({ id, question });
      form.reset();
    } catch (problem) {
      setError(problem as Error);
    }
    setBusy(false);
  };
  return (
    <form class="ask" onSubmit={submit}>
      <QuestionFields />
      {error && <Failure error={error} />}
      <button type="submit" class="primary" disabled={isBusy}>
        Ask
      </button>
    </form>
  );
}

function QuestionFields() {
  return (
    <>
      <label class="field">
        Question
        <input
          name="question"
          required
          maxLength={16_384}
          autoComplete="off"
          placeholder="What happens at the end?"
        />
      </label>
      <details>
        <summary>With options to choose from</summary>
        <label class="field">
          Options, one a line, at least two
          <textarea name="options" rows={4} />
        </label>
      </details>
    </>
  );
}

function sameVideo({ video, model, sampling, compression, overTime, strict }: AskJob) {
  return { video, model, sampling, compression, overTime, strict };
}

function withOptions(question: string, text: FormDataEntryValue | null) {
  const options = String(text ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return options.length > 0 ? { question, options } : question;
}

interface ReplyProps extends Asked {
  /** Whether it is listened to; those that were asked before come first. */
  readonly isHeard: boolean;
  onAnswer(): void;
}

function Reply({ id, question, isHeard, onAnswer }: ReplyProps) {
  const [document, setDocument] = useState<ResultDocument | null>(null);
  const heard = useStream(isHeard ? id : null);
  useEffect(() => {
    if (!heard.document) return;
    setDocument(heard.document);
    onAnswer();
  }, [heard.document]);
  const { texts } = heard;
  const answer = document?.status === 'completed' ? document.answers[0] : undefined;
  return (
    <li>
      <p class="question">{question}</p>
      <div aria-live="polite">
        {answer && <AnswerText answer={answer} />}
        {document && document.status !== 'completed' && <p class="job-error">{document.error}</p>}
        {!document && <p class="answer writing">{texts[0] ?? ''}</p>}
      </div>
      <p class="small">
        <a href={jobPath(id)}>{document ? 'Show this job' : 'Show this job, which is under way'}</a>
      </p>
    </li>
  );
}
