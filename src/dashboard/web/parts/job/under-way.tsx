import { useEffect } from 'preact/hooks';
import type { JobDetail } from '../../../api/schemas.js';
import { useFollow } from '../../follow.js';
import { overview } from '../../live.js';
import { useStream } from '../../stream.js';
import { questionText } from '../../words.js';
import { Progress } from '../progress.js';

/** A job that waits or runs: how far it is, and its text as it is written. */
export function Under({ detail, onEnd }: { readonly detail: JobDetail; onEnd(): void }) {
  const { row, job } = detail;
  const { texts, document } = useStream(row.id);
  const around = useFollow<HTMLElement>(texts);
  useEffect(() => {
    if (document) onEnd();
  }, [document]);
  const isPaused = overview.use()?.queue.isPaused ?? false;
  const questions = job?.questions.map(questionText) ?? [row.question];
  return (
    <section class="card" ref={around}>
      <h2>{row.state === 'active' ? 'Under way' : 'In the queue'}</h2>
      {row.state === 'active' ? (
        <Progress progress={row.progress} />
      ) : (
        <p class="soft">
          {row.state === 'delayed' ? 'It is tried again after a while.' : waitText(isPaused)}
        </p>
      )}
      <Texts questions={questions} texts={texts} />
    </section>
  );
}

function waitText(isPaused: boolean): string {
  return isPaused ? 'The queue is paused: it waits until that is resumed.' : 'It waits for a worker.';
}

/** Answers as far as they are written. */
export function Texts({
  questions,
  texts,
}: {
  readonly questions: readonly string[];
  readonly texts: readonly string[];
}) {
  if (texts.length === 0) return null;
  return (
    <ol class="answers">
      {questions.map((question, i) => (
        <li key={i}>
          <p class="question">{question}</p>
          {texts[i] !== undefined && <p class="answer writing">{texts[i]}</p>}
        </li>
      ))}
    </ol>
  );
}
