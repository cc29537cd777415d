import type { TargetedSubmitEvent } from 'preact';
import type { AskJob } from '../../../../../queues/schemas.js';
import { questionText } from '../../words.js';
import { type Base, type Budget, smallBudget } from './columns.js';

interface FormProps {
  /** The job whose video and question are taken up; null starts anew. */
  readonly from: AskJob | null;
  readonly video: string;
  readonly question: string;
  readonly isBusy: boolean;
  onAsk(base: Base, budget: Budget): void;
}

/** What is compared. */
export function CompareForm({ from, video, question, isBusy, onAsk }: FormProps) {
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const text = (name: string) => String(fields.get(name) ?? '').trim();
    const dominant = Number(text('dominant'));
    const contextual = Number(text('contextual'));
    onAsk(baseOf(from, text), { dominant, contextual });
  };
  const budget = typeof from?.compression === 'object' ? from.compression : smallBudget;
  const first = from?.questions[0];
  return (
    <form class="card compare-form" onSubmit={submit}>
      <label class="field grow">
        Video, as the worker finds it
        <input name="video" required defaultValue={from?.video ?? video} placeholder="clips/clip-000.mp4" />
      </label>
      <label class="field grow">
        Question{from && from.questions.length > 1 && ` (1 of ${from.questions.length}; all are asked)`}
        <input
          name="question"
          required
          defaultValue={first ? questionText(first) : question}
          placeholder="Which way is the triangle moving?"
        />
      </label>
      <label class="field">
        Model
        <input
          name="model"
          required
          defaultValue={from?.model ?? 'nano'}
          pattern="[A-Za-z0-9][A-Za-z0-9._\-]*"
        />
      </label>
      <BudgetFields budget={budget} />
      <button type="submit" class="primary" disabled={isBusy}>
        Ask three times
      </button>
    </form>
  );
}

function BudgetFields({ budget }: { readonly budget: Budget }) {
  return (
    <fieldset class="budget">
      <legend>Third column, tokens a frame</legend>
      <label class="field">
        dominant
        <input name="dominant" type="number" min="1" required defaultValue={String(budget.dominant)} />
      </label>
      <label class="field">
        contextual
        <input name="contextual" type="number" min="0" required defaultValue={String(budget.contextual)} />
      </label>
    </fieldset>
  );
}

/** Options of the first question, other questions and settings stay those of the job that was taken up. */
function baseOf(from: AskJob | null, text: (name: string) => string): Base {
  const asked = text('question');
  const first = from?.questions[0];
  const question = first && typeof first !== 'string' ? { ...first, question: asked } : asked;
  return {
    video: text('video'),
    model: text('model'),
    questions: [question, ...(from?.questions.slice(1) ?? [])],
    sampling: from?.sampling ?? {},
    overTime: from?.overTime,
    generation: from?.generation ?? {},
  };
}
