import type { Dataset } from '../../api/schemas.js';
import { curl } from '../commands.js';
import { useLoaded } from '../load.js';
import { Command, Commands } from '../parts/copy.js';
import { DatasetCard } from '../parts/dataset/card.js';
import { useEvery } from '../parts/dataset/every.js';
import { Empty, Failure, Loading } from '../parts/notice.js';
import { addressOf } from '../router.js';

interface DatasetList {
  readonly datasets: readonly Dataset[];
}

/** Runs of `batch`, the newest first. */
export function Datasets() {
  const { data, error, reload, refresh } = useLoaded<DatasetList>('datasets');
  useEvery(3000, refresh);
  return (
    <>
      <div class="title-row">
        <h1>Datasets</h1>
        <button type="button" onClick={reload}>
          Read again
        </button>
      </div>
      {error && <Failure error={error} retry={reload} />}
      {!data && !error && <Loading />}
      {data?.datasets.length === 0 && (
        <Empty title="No dataset has been run yet">
          <p>
            A file of questions – JSONL, CSV, Parquet, or a benchmark as it is published – is answered row by
            row, and goes on after a stop.
          </p>
          <Command title="Answer one" command="visionzip batch questions.jsonl --out answers.jsonl" />
        </Empty>
      )}
      {data?.datasets.map((dataset) => (
        <DatasetCard key={dataset.id} dataset={dataset} onDone={reload} />
      ))}
      <Commands of={[{ title: 'The same as JSON', command: curl(addressOf('api/datasets')) }]} />
    </>
  );
}
