import type { JobDetail } from '../../../api/schemas.js';
import { Icon } from '../icon.js';

const advice: Record<string, string> = {
  question: 'The question is at fault; the same question would fail again.',
  video: 'The video is at fault; it would fail again as it is.',
  model: 'The model is at fault: look at its folder before trying again.',
  settings: "The worker's settings do not allow it: change them before trying again.",
  internal:
    'The machine or the program is at fault; it was tried again before it failed. A retry may succeed.',
};

/** Why a job failed, or was tried again. */
export function Trouble({ detail: { row, document } }: { readonly detail: JobDetail }) {
  const failure = document && document.status !== 'completed' ? document : null;
  const text = failure?.error ?? row.error;
  const fault = failure?.fault ?? row.fault;
  const isCancelled = row.state === 'cancelled';
  return (
    <section class={`card trouble tone-${isCancelled ? 'off' : 'bad'}`}>
      <h2>
        <Icon name={isCancelled ? 'cancelled' : 'warn'} />
        {isCancelled ? 'Cancelled' : row.state === 'failed' ? 'Why it failed' : 'What went wrong so far'}
      </h2>
      <p class="error-text">{text}</p>
      {fault && <p class="soft">{advice[fault]}</p>}
      {row.errorClass && (
        <p>
          <a href={`jobs?${new URLSearchParams({ state: 'failed', errorClass: row.errorClass })}`}>
            Show the jobs that failed alike
          </a>
        </p>
      )}
    </section>
  );
}
