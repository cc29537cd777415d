import type { TargetedSubmitEvent } from 'preact';
import type { Dataset } from '../../../api/schemas.js';
import { useLoaded } from '../../load.js';
import { addressOf } from '../../router.js';

/** Leads to the report of two runs of a dataset, row by row. */
export function Beside({ dataset: { id, hasReport } }: { readonly dataset: Dataset }) {
  const { data } = useLoaded<{ readonly datasets: readonly Dataset[] }>(hasReport ? 'datasets' : null);
  const others = data?.datasets.filter((other) => other.id !== id && other.hasReport) ?? [];
  if (others.length === 0) return null;
  const open = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const before = new FormData(event.currentTarget).get('before') as string;
    location.assign(
      addressOf(`api/datasets/${encodeURIComponent(id)}/report?${new URLSearchParams({ before })}`),
    );
  };
  return (
    <form class="card compare-form" onSubmit={open}>
      <label class="field grow">
        Row by row beside a run before
        <select name="before">
          {others.map((other) => (
            <option key={other.id} value={other.id}>
              {other.name}, {other.id}, {new Date(other.startedAt).toLocaleString()}
            </option>
          ))}
        </select>
      </label>
      <button type="submit">Compare</button>
    </form>
  );
}
