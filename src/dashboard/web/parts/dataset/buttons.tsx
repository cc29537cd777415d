import { useEffect, useState } from 'preact/hooks';
import type { Dataset } from '../../../api/schemas.js';
import { mayWrite, write } from '../../api.js';
import { addressOf } from '../../router.js';
import { Confirm } from '../confirm.js';
import { Failure } from '../notice.js';

type Action = 'pause' | 'resume' | 'drain' | 'stop';

/** What can be done to a run in each state. */
const possible: Record<Dataset['state'], readonly Action[]> = {
  running: ['pause', 'drain', 'stop'],
  paused: ['resume', 'stop'],
  draining: ['stop'],
  done: [],
  stopped: [],
  lost: [],
};

const words: Record<Action, readonly [word: string, title: string]> = {
  pause: ['Pause', 'asks nothing more until it is resumed; what is asked is answered'],
  resume: ['Resume', 'goes on where it stood'],
  drain: ['Drain', 'asks nothing more, waits for what is asked, and ends'],
  stop: ['Stop…', 'cancels what is asked, and ends; it can be started again where it stood'],
};

/** What was asked of it in which state: it follows within seconds. */
interface Told {
  readonly action: Action;
  readonly state: Dataset['state'];
}

export function Buttons({ dataset, onDone }: { readonly dataset: Dataset; onDone(): void }) {
  const { id, run, name, state, hasReport } = dataset;
  const [error, setError] = useState<Error | null>(null);
  const [told, setTold] = useState<Told | null>(null);
  const [isStopping, setStopping] = useState(false);
  // It may come back into that state by somebody else's button.
  useEffect(() => setTold(null), [state]);
  const path = `datasets/${encodeURIComponent(id)}`;
  const act = async (action: Action) => {
    await write(path, { action });
    setStopping(false);
    setTold({ action, state });
    onDone();
  };
  const press = (action: Action) => {
    setError(null);
    if (action === 'stop') setStopping(true);
    else act(action).catch(setError);
  };
  return (
    <>
      <span role="status" class="soft small">
        {told?.state === state && `told to ${told.action}`}
      </span>
      {mayWrite() &&
        possible[state].map((action) => (
          <button key={action} type="button" title={words[action][1]} onClick={() => press(action)}>
            {words[action][0]}
          </button>
        ))}
      {hasReport && (
        <a class="button" href={addressOf(`api/${path}/report`)} data-plain>
          Report
        </a>
      )}
      <a class="button" href={`jobs?${new URLSearchParams({ dataset: run })}`}>
        Its jobs
      </a>
      {error && <Failure error={error} />}
      {isStopping && <Stop name={name} onConfirm={() => act('stop')} onClose={() => setStopping(false)} />}
    </>
  );
}

function Stop(props: { readonly name: string; onConfirm(): Promise<void>; onClose(): void }) {
  return (
    <Confirm
      title={`Stop ${props.name}?`}
      verb="Stop it"
      isDangerous
      onConfirm={props.onConfirm}
      onClose={props.onClose}
    >
      <p>
        What it has asked is cancelled. Started again with the same file of answers it goes on where it stood.
      </p>
    </Confirm>
  );
}
