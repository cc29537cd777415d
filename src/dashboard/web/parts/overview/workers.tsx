import type { JobRow, Overview } from '../../../api/schemas.js';
import { formatDuration, plural } from '../../format.js';
import { jobPath } from '../../routes.js';
import { Command } from '../copy.js';
import { Progress } from '../progress.js';

type Worker = NonNullable<Overview['workers']>[number];

/** Who works, and on what. */
export function Workers({ workers }: { readonly workers: Overview['workers'] }) {
  return (
    <section class="card">
      <h2>Workers {workers && workers.length > 0 && <span class="soft">{workers.length}</span>}</h2>
      {workers === null && <p class="soft">This Redis does not say who is connected.</p>}
      {workers?.length === 0 && (
        <>
          <p>No worker is connected: what waits goes on waiting.</p>
          <Command title="Start one" command="visionzip worker" />
        </>
      )}
      {workers && workers.length > 0 && (
        <ul class="workers">
          {workers.map((worker) => (
            <li key={`${worker.name} ${worker.address}`}>
              <WorkerHead worker={worker} />
              {worker.jobs.length === 0 && <p class="soft">waits for a job</p>}
              {worker.jobs.map((row) => (
                <Running key={row.id} row={row} />
              ))}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function WorkerHead({ worker }: { readonly worker: Worker }) {
  const { name, address, ageSeconds, version, sandbox, concurrency } = worker;
  const notes = [
    `for ${formatDuration(ageSeconds * 1000)}`,
    version && `version ${version}`,
    concurrency && `${plural(concurrency, 'job')} at a time`,
    sandbox && `sandbox: ${sandbox}`,
  ];
  return (
    <p class="worker-head">
      <a href={`jobs?${new URLSearchParams({ worker: name })}`} title={address}>
        {name}
      </a>
      <span class="soft">{notes.filter(Boolean).join(' · ')}</span>
    </p>
  );
}

function Running({ row }: { readonly row: JobRow }) {
  return (
    <div class="running">
      <a href={jobPath(row.id)}>
        <strong>{row.video}</strong> <bdi>{row.question || (row.video === '' && row.id)}</bdi>
      </a>
      <Progress progress={row.progress} />
    </div>
  );
}
