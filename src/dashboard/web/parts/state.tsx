import type { Dataset, Health, JobState } from '../../api/schemas.js';
import { Icon, type IconName } from './icon.js';

type Tone = 'ok' | 'bad' | 'warn' | 'busy' | 'idle' | 'off';

const ofJobs: Record<JobState, Tone> = {
  waiting: 'idle',
  delayed: 'warn',
  active: 'busy',
  completed: 'ok',
  failed: 'bad',
  cancelled: 'off',
};

/** A state as sign, word and colour. */
export function Badge({ tone, icon, word }: { tone: Tone; icon: IconName; word: string }) {
  return (
    <span class={`badge tone-${tone}`}>
      <Icon name={icon} />
      {word}
    </span>
  );
}

export function StateBadge({ state }: { readonly state: JobState }) {
  return <Badge tone={ofJobs[state]} icon={state} word={state} />;
}

export function toneOf(state: JobState): Tone {
  return ofJobs[state];
}

const ofDatasets: Record<Dataset['state'], readonly [Tone, IconName]> = {
  running: ['busy', 'active'],
  paused: ['warn', 'paused'],
  draining: ['warn', 'delayed'],
  done: ['ok', 'completed'],
  stopped: ['off', 'cancelled'],
  lost: ['bad', 'failed'],
};

export function DatasetBadge({ state }: { readonly state: Dataset['state'] }) {
  const [tone, icon] = ofDatasets[state];
  return <Badge tone={tone} icon={icon} word={state} />;
}

type Level = Health['checks'][number]['level'];
const ofLevels: Record<Level, readonly [Tone, IconName, string]> = {
  ok: ['ok', 'completed', 'well'],
  warn: ['warn', 'warn', 'look at it'],
  bad: ['bad', 'failed', 'not well'],
  unknown: ['idle', 'unknown', 'not known'],
};

export function LevelBadge({ level }: { readonly level: Level }) {
  const [tone, icon, word] = ofLevels[level];
  return <Badge tone={tone} icon={icon} word={word} />;
}
