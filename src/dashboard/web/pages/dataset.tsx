import type { Dataset } from '../../api/schemas.js';
import { Problem } from '../api.js';
import { curl, quote } from '../commands.js';
import { formatCount, formatShare } from '../format.js';
import { useLoaded } from '../load.js';
import { Commands } from '../parts/copy.js';
import { Beside } from '../parts/dataset/beside.js';
import { DatasetCard } from '../parts/dataset/card.js';
import { useEvery } from '../parts/dataset/every.js';
import { Empty, Failure, Loading } from '../parts/notice.js';
import { Scroll } from '../parts/scroll.js';
import { addressOf, route } from '../router.js';

export function DatasetPage() {
  const id = route().id!;
  const path = `datasets/${encodeURIComponent(id)}`;
  const { data, error, reload, refresh } = useLoaded<Dataset>(path);
  useEvery(3000, refresh);
  if (error instanceof Problem && error.status === 404) return <Gone />;
  if (!data) return error ? <Failure error={error} retry={reload} /> : <Loading />;
  return (
    <>
      <p class="soft small">
        <a href="datasets">Datasets</a> / <code>{id}</code>
      </p>
      <h1>{data.name}</h1>
      {error && <Failure error={error} retry={reload} />}
      <DatasetCard dataset={data} isNamed onDone={reload} />
      <Beside dataset={data} />
      <div class="columns">
        <ByKind dataset={data} />
        <Failures dataset={data} />
      </div>
      <Files dataset={data} />
      <Commands
        of={[
          {
            title: 'Go on after a stop',
            command: `visionzip batch ${quote(data.file)} --out ${quote(data.out)}`,
          },
          { title: 'Report', command: `visionzip report ${quote(data.out)} --out report.html` },
          { title: 'The same as JSON', command: curl(addressOf(`api/${path}`)) },
        ]}
      />
    </>
  );
}

function Gone() {
  return (
    <Empty title="There is no such dataset">
      <p>
        Its record has expired, or it never ran here. <a href="datasets">Show all datasets</a>
      </p>
    </Empty>
  );
}

function Files({ dataset: { file, out } }: { readonly dataset: Dataset }) {
  return (
    <section class="card">
      <h2>Files</h2>
      <dl class="facts">
        <div>
          <dt>Questions</dt>
          <dd>
            <code>{file}</code>
          </dd>
        </div>
        <div>
          <dt>Answers</dt>
          <dd>
            <code>{out}</code>
          </dd>
        </div>
      </dl>
    </section>
  );
}

function ByKind({ dataset: { byKind } }: { readonly dataset: Dataset }) {
  if (byKind.length === 0) return null;
  return (
    <section class="card">
      <h2>Right, by kind</h2>
      <Scroll label="Accuracy by kind">
        <table>
          <thead>
            <tr>
              <th scope="col">kind</th>
              <th scope="col" class="num">
                right
              </th>
              <th scope="col" class="num">
                of
              </th>
              <th scope="col" class="num">
                share
              </th>
              <th scope="col" class="interval-cell">
                95 % interval
              </th>
            </tr>
          </thead>
          <tbody>
            {byKind.map((share) => (
              <KindRow key={share.kind} share={share} />
            ))}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}

function KindRow({
  share: { kind, right, count, value, low, high },
}: {
  readonly share: Dataset['byKind'][number];
}) {
  return (
    <tr>
      <th scope="row">{kind}</th>
      <td class="num">{formatCount(right)}</td>
      <td class="num">{formatCount(count)}</td>
      <td class="num">{formatShare(value)}</td>
      <td class="interval-cell">
        <span class="interval" aria-hidden="true">
          <i style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} />
          <b style={{ left: `${Math.min(value, 0.995) * 100}%` }} />
        </span>
        <span class="small soft">
          {formatShare(low)} – {formatShare(high)}
        </span>
      </td>
    </tr>
  );
}

function Failures({ dataset: { failures, run, state } }: { readonly dataset: Dataset }) {
  return (
    <section class="card">
      <h2>What failed</h2>
      {failures.length === 0 && <p class="soft">{state === 'done' ? 'Nothing.' : 'Nothing so far.'}</p>}
      <ul class="plain">
        {failures.map(({ kind, count, example }) => (
          <li key={kind}>
            <strong>{kind}</strong> <span class="soft">× {formatCount(count)}</span>
            <p class="job-error">{example}</p>
          </li>
        ))}
      </ul>
      {failures.length > 0 && (
        <p>
          <a href={`errors?${new URLSearchParams({ dataset: run })}`}>Show the errors of this dataset</a>
        </p>
      )}
    </section>
  );
}
