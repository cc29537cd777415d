import { SingleBar } from 'cli-progress';
import type { Progress } from '../pipeline/types.js';

/** Shows where a job stands. Does nothing where standard error is no terminal. */
export interface ProgressBar {
  update(progress: Progress): void;
  /** Wipes the bar off the terminal; a later update draws it again. */
  clear(): void;
}

const labels: Record<Progress['stage'], string> = {
  load: 'loading the model',
  probe: 'looking at the video',
  choose: 'looking for changes',
  encode: 'frames',
  generate: 'answers',
};

export function createProgressBar(isWanted = process.stderr.isTTY === true): ProgressBar {
  if (!isWanted) return { update: () => {}, clear: () => {} };
  let bar: SingleBar | null = null;
  return {
    update(progress) {
      const isGenerating = progress.stage === 'generate';
      const done = isGenerating ? progress.answersDone : progress.framesDone;
      const total = isGenerating ? progress.answersTotal : progress.framesTotal;
      const count = total > 0 ? ` ${done}/${total}` : '';
      bar ??= startBar();
      bar.setTotal(Math.max(total, 1));
      bar.update(done, { label: `${labels[progress.stage]}${count}` });
    },
    clear() {
      bar?.stop();
      bar = null;
    },
  };
}

/** The same of a download, in bytes. */
export function createDownloadBar(isWanted = process.stderr.isTTY === true) {
  let bar: SingleBar | null = null;
  return {
    update(done: number, total: number, label: string): void {
      if (!isWanted) return;
      bar ??= startBar();
      bar.setTotal(total);
      bar.update(done, { label });
    },
    clear(): void {
      bar?.stop();
      bar = null;
    },
  };
}

/** A bar on standard error that leaves nothing behind; `label` in the payload of an update is shown beside it. */
export function startBar(total = 1): SingleBar {
  const bar = new SingleBar({
    format: '{bar} {label}',
    stream: process.stderr,
    barsize: 30,
    hideCursor: true,
    clearOnComplete: true,
    barCompleteChar: '█',
    barIncompleteChar: '░',
  });
  bar.start(total, 0, { label: '' });
  return bar;
}
