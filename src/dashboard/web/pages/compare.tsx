import { useState } from 'preact/hooks';
import type { JobDetail } from '../../api/schemas.js';
import { ask, mayWrite } from '../api.js';
import { quote } from '../commands.js';
import { useLoaded } from '../load.js';
import { ResultColumn, useColumn } from '../parts/ab/column.js';
import { type Base, type Budget, columns, type Ids, idsOf, jobOf, titles } from '../parts/ab/columns.js';
import { CompareForm } from '../parts/ab/form.js';
import { longestStage } from '../parts/ab/stage-bars.js';
import { Commands } from '../parts/copy.js';
import { Empty, Failure, Loading } from '../parts/notice.js';
import { navigate, query } from '../router.js';
import { jobPath } from '../routes.js';

/** The same question without compression, with it, and with another budget. */
export function Compare() {
  const from = query().get('from');
  const ids = idsOf(query());
  const { data, error: unread } = useLoaded<JobDetail>(from === null ? null : jobPath(from));
  const [isBusy, setBusy] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const start = async (base: Base, budget: Budget) => {
    setBusy(true);
    setError(null);
    await askAll(base, budget).catch(setError);
    setBusy(false);
  };
  if (from !== null && !data && !unread) return <Loading />;
  const video = data?.job?.video ?? query().get('video') ?? '';
  return (
    <>
      <div class="title-row">
        <h1>Compare compression</h1>
        <p class="soft">
          The same question three times: without compression, with it, and with a budget of yours.
        </p>
      </div>
      {unread && <Failure error={unread} />}
      {mayWrite() ? (
        <CompareForm
          key={from}
          from={data?.job ?? null}
          video={video}
          question={query().get('question') ?? ''}
          isBusy={isBusy}
          onAsk={start}
        />
      ) : (
        !ids && (
          <Empty title="This dashboard is read-only">
            <p>A comparison asks three questions. The address of one that was made can be looked at here.</p>
          </Empty>
        )
      )}
      {error && <Failure error={error} />}
      {ids && <Results ids={ids} key={ids.none} />}
      <Commands
        of={[
          { title: 'Without compression', command: askCommand(video, '--compression none') },
          { title: 'With another budget', command: askCommand(video, '--compression 4+2') },
        ]}
      />
    </>
  );
}

function askCommand(video: string, options: string): string {
  return `visionzip ask ${quote(video || 'VIDEO')} "QUESTION" ${options}`;
}

/** One behind the other, so that they wait in the order of the columns. */
async function askAll(base: Base, budget: Budget): Promise<void> {
  const wanted = new URLSearchParams(query());
  for (const column of columns) wanted.set(column, await ask(jobOf(base, column, budget)));
  navigate(`compare?${wanted}`);
}

function Results({ ids }: { readonly ids: Ids }) {
  const states = { none: useColumn(ids.none), auto: useColumn(ids.auto), other: useColumn(ids.other) };
  const results = columns.flatMap((column) => {
    const { document } = states[column];
    return document?.status === 'completed' ? [document] : [];
  });
  const longestMs = longestStage(results);
  return (
    <div class="columns three">
      {columns.map((column) => (
        <ResultColumn
          key={column}
          title={titles[column]}
          id={ids[column]}
          state={states[column]}
          base={column === 'none' ? null : states.none.document}
          longestMs={longestMs}
        />
      ))}
    </div>
  );
}
