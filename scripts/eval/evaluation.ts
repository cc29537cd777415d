import cliProgress from 'cli-progress';
import type { Model } from '../../src/models/types.js';
import type { Table } from '../bench/table.js';
import { type ClipFolder, type ClipsWanted, type EvalClip, wantedClips } from './clips.js';
import type { Method } from './controls.js';
import type { Journal } from './journal.js';
import type { Project } from './settings.js';

/** What every part of the evaluation works with. */
export interface Evaluation extends ClipFolder {
  readonly model: Model;
  /** Projectors tuned on compressed tokens. VisionZip's is the model's own, where it has one. */
  readonly tuned: ReadonlyMap<Method, Project>;
  readonly seed: number;
  /** Frames of a short clip; default the model's. */
  readonly frames: number | undefined;
  /** The results so far of a part, `about` being what they depend on besides the rest of this. */
  journal(part: string, about?: unknown): Journal;
}

/** Tables to read, and the same numbers for a program. */
export interface PartOutcome {
  readonly tables: readonly Table[];
  readonly data: unknown;
}

/** 2 to 20 seconds, as the model was trained; `when` is asked too. */
export function shortClips({ seed }: Evaluation, count: number): ClipsWanted {
  return { seed, count, seconds: [2, 20], extraKind: 'when', chunk: 20 };
}

/** Calls `work` for one clip after the other, with a progress bar on standard error. */
export async function forEachClip(
  evaluation: Evaluation,
  title: string,
  wanted: ClipsWanted,
  work: (clip: EvalClip, i: number) => Promise<void>,
): Promise<void> {
  if (wanted.count === 0) return;
  const format = `${title} [{bar}] {value}/{total} clips | {duration_formatted} | left {eta_formatted}`;
  const bar = new cliProgress.SingleBar({
    ...{ format, stream: process.stderr },
    // In a log, a line a minute.
    ...{ noTTYOutput: true, notTTYSchedule: 60_000 },
  });
  bar.start(wanted.count, 0);
  try {
    let i = 0;
    for await (const clip of wantedClips(evaluation, wanted)) {
      await work(clip, i++);
      bar.increment();
    }
  } finally {
    bar.stop();
  }
}
