import type { JobDetail } from '../../../api/schemas.js';
import { compressionText, questionText, settingsText } from '../../words.js';
import { Scroll } from '../scroll.js';

/** What two jobs were given, line by line; what differs is marked, in words too. */
export function Settings({ first, second }: { readonly first: JobDetail; readonly second: JobDetail }) {
  const left = settingsOf(first);
  const right = settingsOf(second);
  const names = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  return (
    <section class="card">
      <h2>What they were given</h2>
      <Scroll label="Settings of both jobs">
        <table class="settings">
          <thead>
            <tr>
              <th scope="col">setting</th>
              <th scope="col">first</th>
              <th scope="col">second</th>
              <th scope="col">
                <span class="unseen">whether they differ</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => {
              const differs = left[name] !== right[name];
              return (
                <tr key={name} class={differs ? 'differs' : ''}>
                  <th scope="row">{name}</th>
                  <td>{left[name] ?? '–'}</td>
                  <td>{right[name] ?? '–'}</td>
                  <td>{differs ? 'differs' : ''}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}

function settingsOf({ row, job, document }: JobDetail): Record<string, string> {
  const result = document?.status === 'completed' ? document : null;
  const settings = job ?? result?.settings;
  return {
    video: job?.video ?? result?.video.path ?? row.video,
    questions: job?.questions.map(questionText).join(' · ') ?? row.question,
    model: result
      ? `${result.model.name}, ${result.model.dtype}, ${result.model.digest.slice(0, 12)}`
      : row.model,
    sampling: settingsText(settings?.sampling),
    compression: settings ? compressionText(settings.compression) : '–',
    'over time': settingsText(job?.overTime),
    generation: settingsText(settings?.generation),
    ...(result && { plan: result.plan.reason }),
  };
}
