import type { EncodedFrame, Model } from '../../src/models/types.js';
import { ask, encodeClip } from './ask.js';
import { type EvalClip, wantedClips } from './clips.js';
import { type Evaluation, forEachClip, shortClips } from './evaluation.js';
import type { Journal } from './journal.js';
import type { Answered, ClipResult } from './results.js';
import type { Setting } from './settings.js';

/** What is asked about short clips. */
interface ShortRun {
  /** Of the progress bar. */
  readonly title: string;
  readonly model: Model;
  readonly journal: Journal;
  readonly clips: number;
  settingsOf(clip: number): readonly Setting[];
}

/**
 * Answers every question on short clips under the settings of each. A clip is decoded and encoded once for all its
 * settings; what the journal has already is not asked again.
 */
export async function answerShortClips(evaluation: Evaluation, run: ShortRun): Promise<ClipResult[]> {
  const { title, model, journal, settingsOf } = run;
  const framesOf = (clip: EvalClip) => once(() => encodeClip(model, clip, evaluation.frames));
  const results: ClipResult[] = [];
  let previous = once(async () => framesOf(await strangerOf(evaluation))());
  await forEachClip(evaluation, title, shortClips(evaluation, run.clips), async (clip, i) => {
    const missing = settingsOf(i).filter(({ id }) => !journal.has(clip.id, id));
    const frames = framesOf(clip);
    if (missing.length > 0) {
      const answered: Record<string, Answered> = {};
      for (const setting of missing) {
        const shown = setting.ofAnother ? atTimesOf(await frames(), await previous()) : await frames();
        answered[setting.id] = await ask(model, setting, shown, clip);
      }
      journal.add({ clip: clip.id, rows: clip.rows, answered });
    }
    results.push(journal.get(clip.id));
    previous = frames;
  });
  return results;
}

/** Stands before the first clip. */
async function strangerOf(evaluation: Evaluation): Promise<EvalClip> {
  const wanted = { ...shortClips(evaluation, 1), seed: evaluation.seed + 1 };
  for await (const clip of wantedClips(evaluation, wanted)) return clip;
  throw new Error('no clip was made');
}

/** As many frames as there are times, of another clip. */
export function atTimesOf(times: readonly EncodedFrame[], others: readonly EncodedFrame[]): EncodedFrame[] {
  return times.map(({ index, ptsSeconds }, i) => ({ ...others[i % others.length]!, index, ptsSeconds }));
}

/** Works when it is first called, and then gives the same. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work();
    return result;
  };
}
