import type { TargetedSubmitEvent } from 'preact';
import { useRef } from 'preact/hooks';
import type { Facets, JobFilter } from '../../../api/schemas.js';
import { countHidden, filterOf, type Order, orders, queryOf, states } from '../../filters.js';
import { useLoaded } from '../../load.js';
import { navigate } from '../../router.js';
import { withQuery } from '../../routes.js';
import { Icon } from '../icon.js';
import { Choice, Field, Moment, Seconds } from './fields.js';

interface FiltersProps {
  readonly filter: JobFilter;
  readonly order: Order;
}

/** Which jobs are wanted; the address holds it, so that it can be sent around. */
export function Filters({ filter, order }: FiltersProps) {
  const form = useRef<HTMLFormElement>(null);
  const submit = (event?: TargetedSubmitEvent<HTMLFormElement>) => {
    event?.preventDefault();
    navigate(withQuery('jobs', wantedIn(form.current!)));
  };
  return (
    <form class="filters card" ref={form} onSubmit={submit}>
      <States filter={filter} order={order} onChange={() => form.current!.requestSubmit()} />
      <div class="text-row">
        <Field
          name="text"
          label="Any words"
          value={filter.text}
          hint="in the video, a question, an answer, the error or the id"
        />
        <button type="submit" class="primary">
          Show
        </button>
        <a class="button quiet" href="jobs">
          All jobs
        </a>
      </div>
      <More filter={filter} />
    </form>
  );
}

/** What is chosen with a click, and takes effect at once. */
function States({ filter, order, onChange }: FiltersProps & { onChange(): void }) {
  return (
    <fieldset class="chips">
      <legend class="unseen">State</legend>
      {states.map((state) => (
        <label key={state} class="chip">
          <input
            type="checkbox"
            name="state"
            value={state}
            checked={filter.state?.includes(state) ?? false}
            onChange={onChange}
          />
          <span>
            <Icon name={state} />
            {state}
          </span>
        </label>
      ))}
      <label class="inline end">
        Order
        <select name="order" value={order} onChange={onChange}>
          {orders.map((name) => (
            <option key={name} value={name}>
              {name === 'finished' ? 'last finished' : name}
            </option>
          ))}
        </select>
      </label>
    </fieldset>
  );
}

function More({ filter }: { readonly filter: JobFilter }) {
  const { data: facets } = useLoaded<Facets>('facets');
  const hidden = countHidden(filter);
  return (
    <details open={hidden > 0}>
      <summary>More conditions{hidden > 0 ? ` (${hidden})` : ''}</summary>
      <div class="field-grid">
        <Field name="video" label="Video" value={filter.video} />
        <Field name="question" label="Question" value={filter.question} />
        <Field name="answer" label="Answer" value={filter.answer} />
        <Choice name="model" label="Model" value={filter.model} of={facets?.models} />
        <Choice name="dataset" label="Dataset" value={filter.dataset} of={facets?.datasets} />
        <Choice name="worker" label="Worker" value={filter.worker} of={facets?.workers} />
        <Choice name="errorClass" label="Error" value={filter.errorClass} of={facets?.errorClasses} />
        <Seconds name="minMs" label="Took at least, in seconds" ms={filter.minMs} />
        <Seconds name="maxMs" label="Took at most, in seconds" ms={filter.maxMs} />
        <Moment name="from" label="Enqueued from" at={filter.from} />
        <Moment name="to" label="Enqueued until" at={filter.to} />
      </div>
    </details>
  );
}

/** What the form says, in the words of an address: seconds become milliseconds, times of day those since 1970. */
function wantedIn(form: HTMLFormElement): URLSearchParams {
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (typeof value !== 'string' || value.trim() === '') continue;
    if (name === 'minMs' || name === 'maxMs') wanted.set(name, String(Number(value) * 1000));
    else if (name === 'from' || name === 'to') wanted.set(name, String(new Date(value).getTime()));
    else wanted.append(name, value.trim());
  }
  const query = queryOf(filterOf(wanted));
  const order = wanted.get('order');
  if (order && order !== 'newest') query.set('order', order);
  return query;
}
