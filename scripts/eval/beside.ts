import type { Model } from '../../src/models/types.js';
import { median, ms, type Table, times } from '../bench/table.js';
import { ask, encodeClip } from './ask.js';
import { wantedClips } from './clips.js';
import { type Evaluation, forEachClip, type PartOutcome, shortClips } from './evaluation.js';
import { type Answered, accuracy, type ClipResult, percentInterval, ratio } from './results.js';
import { allTokens, kept, mainBudget, type Setting } from './settings.js';

/** One of the two that are compared, and the name of its results. */
interface Side {
  readonly name: 'compressed' | 'smaller';
  readonly model: Model;
  readonly setting: Setting;
}

/** The model with VisionZip beside another, smaller one with all tokens, in turn on the same clips. */
export async function evaluateBeside(
  evaluation: Evaluation,
  smaller: Model,
  count: number,
): Promise<PartOutcome> {
  const { model, tuned } = evaluation;
  const T = mainBudget(model);
  const sides: Side[] = [
    { name: 'compressed', model, setting: kept(model, 'visionzip', T, tuned.get('visionzip')) },
    { name: 'smaller', model: smaller, setting: allTokens(smaller) },
  ];
  const wanted = shortClips(evaluation, count);
  const journal = evaluation.journal('beside', { smaller: smaller.digest });
  const results: ClipResult[] = [];
  // All clips are made first: nothing else is to run beside what is timed.
  for await (const _ of wantedClips(evaluation, wanted));
  await forEachClip(evaluation, 'two models', wanted, async (clip, i) => {
    if (!journal.has(clip.id, 'smaller')) {
      const answered: Record<string, Answered> = {};
      for (const side of i % 2 === 0 ? sides : sides.toReversed()) {
        const frames = await encodeClip(side.model, clip, evaluation.frames);
        answered[side.name] = await ask(side.model, side.setting, frames, clip);
      }
      journal.add({ clip: clip.id, rows: clip.rows, answered });
    }
    results.push(journal.get(clip.id));
  });
  return besideOutcome(results, [
    { name: 'compressed', title: `${model.name}, VisionZip`, tokens: T },
    { name: 'smaller', title: `${smaller.name}, all tokens`, tokens: smaller.vision.P },
  ]);
}

/** Right answers and time of both. */
export function besideOutcome(
  results: readonly ClipResult[],
  sides: readonly { readonly name: Side['name']; readonly title: string; readonly tokens: number }[],
): PartOutcome {
  const rows = sides.map((side) => ({
    ...side,
    accuracy: accuracy(results, side.name),
    ratio: ratio(results, side.name, 'compressed'),
    ms: median(results.map(({ answered }) => answered[side.name]!.ms)),
  }));
  const table: Table = {
    title: 'A compressed model beside a smaller one',
    about:
      `${results.length} of the short clips, both models in turn, which is first changes from clip to clip. Right ` +
      'answers in per cent with 95 % intervals. Time from a clip’s encoded frames to the answers to all its questions ' +
      '(compress, project, prefill, generate), median; decoding and the tower are not in it.',
    columns: ['model', 'tokens a frame', 'right', 'of the first’s', 'ms a clip', 'of the first’s'],
    rows: rows.map((row) => [
      row.title,
      String(row.tokens),
      percentInterval(row.accuracy),
      percentInterval(row.ratio),
      ms(row.ms),
      times(row.ms / rows[0]!.ms),
    ]),
  };
  return { tables: [table], data: { clips: results.length, sides: rows } };
}
