import type { Health } from '../../api/schemas.js';
import { curl } from '../commands.js';
import { useLoaded } from '../load.js';
import { Commands } from '../parts/copy.js';
import { Failure, Loading } from '../parts/notice.js';
import { Prose } from '../parts/prose.js';
import { LevelBadge } from '../parts/state.js';
import { addressOf } from '../router.js';

export function HealthPage() {
  const { data, error, reload } = useLoaded<Health>('health');
  const counts = { bad: 0, warn: 0, ok: 0, unknown: 0 };
  for (const { level } of data?.checks ?? []) counts[level]++;
  return (
    <>
      <div class="title-row">
        <h1>Health</h1>
        {data && <p class="soft">{summaryOf(counts)}</p>}
        <button type="button" onClick={reload}>
          Check again
        </button>
      </div>
      {error && <Failure error={error} retry={reload} />}
      {!data && !error && <Loading />}
      {data && (
        <ul class="checks card">
          {data.checks.map(({ name, level, found, advice }) => (
            <li key={name}>
              <LevelBadge level={level} />
              <div>
                <h2>{name}</h2>
                <p>
                  <Prose text={found} />
                </p>
                {advice && (
                  <p class={level === 'ok' ? 'soft' : 'advice'}>
                    <Prose text={advice} />
                  </p>
                )}
              </div>
            </li>
          ))}
        </ul>
      )}
      <Commands
        of={[
          { title: 'The same as JSON', command: curl(addressOf('api/health')) },
          { title: 'Workers and Redis', command: 'visionzip status' },
        ]}
      />
    </>
  );
}

function summaryOf({ bad, warn }: { bad: number; warn: number }): string {
  if (bad > 0) return `${bad} not well${warn > 0 ? `, ${warn} to look at` : ''}`;
  return warn > 0 ? `${warn} to look at` : 'All is well.';
}
