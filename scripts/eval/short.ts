import type { Model } from '../../src/models/types.js';
import type { ClipRow } from '../clip-files.js';
import type { Evaluation, PartOutcome } from './evaluation.js';
import {
  accuracy,
  type ClipResult,
  difference,
  percentInterval,
  pointsInterval,
  ratio,
  type Which,
  withChance,
} from './results.js';
import { chanceGuess, isRight } from './score.js';
import {
  allTokens,
  another,
  blind,
  kept,
  keptId,
  mainBudget,
  type Setting,
  shuffled,
  untuned,
  workersProjector,
} from './settings.js';

/** The settings of the table of short clips. */
export function shortSettings({ model, tuned }: Evaluation): Setting[] {
  const T = mainBudget(model);
  const own = tuned.get('visionzip');
  return [
    allTokens(model),
    kept(model, 'visionzip', T),
    ...(own ? [kept(model, 'visionzip', T, own)] : []),
    kept(model, 'random', T),
    kept(model, 'cls-random', T),
    shuffled(model),
    another(model),
    blind,
  ];
}

/** VisionZip in another model, that was trained with it: as many tokens of that model's tower. */
export function trainedSetting(model: Model, trained: Model): Setting {
  return { ...kept(trained, 'visionzip', mainBudget(model), workersProjector(trained)), id: 'trained' };
}

/** Right answers by kind under each setting, and beside those with all tokens. */
export function shortOutcome(
  model: Pick<Model, 'vision'>,
  answered: readonly ClipResult[],
  practice: readonly ClipRow[],
): PartOutcome {
  const results = withChance(answered, chanceGuess(practice));
  const columns = columnsOf(mainBudget(model)).filter(([id]) => results[0]!.answered[id]);
  const ids = columns.map(([id]) => id);
  const right = groupsOf(results).map(([kind, which]) => ({
    kind,
    questions: results.flatMap(({ rows }) => rows.filter(which)).length,
    accuracy: ids.map((id) => accuracy(results, id, which)),
  }));
  const ratios = ids.map((id) => ratio(results, id, 'all'));
  const differences = ids.map((id) => difference(results, id, 'all'));
  const table = {
    title: 'Right answers on short clips',
    about: aboutOf(results),
    columns: ['kind', 'questions', ...columns.map(([, title]) => title)],
    rows: [
      ...right.map((row) => [row.kind, String(row.questions), ...row.accuracy.map(percentInterval)]),
      ['share of “all tokens”', '', ...ratios.map(percentInterval)],
      ['points against “all tokens”', '', ...differences.map(pointsInterval)],
    ],
  };
  return { tables: [table], data: { clips: results.length, settings: ids, right, ratios, differences } };
}

function columnsOf(T: number): [id: string, title: string][] {
  return [
    ['all', 'all tokens'],
    [keptId('visionzip', T), `VisionZip ${T}, untuned`],
    [keptId('visionzip', T, true), `VisionZip ${T}, tuned`],
    ['trained', `VisionZip ${T}, trained with it`],
    [keptId('random', T), `random ${T}`],
    [keptId('cls-random', T), `CLS + ${T - 1} random`],
    ['shuffled', 'shuffled'],
    ['another', 'another clip’s frames'],
    ['blind', 'blind'],
    ['chance', 'chance'],
  ];
}

/** `npm run clips` does not ask for times unless told so. */
function groupsOf(results: readonly ClipResult[]): [name: string, which: Which][] {
  const kinds = [...new Set(results.flatMap(({ rows }) => rows.map(({ kind }) => kind)))].sort();
  return [
    ['all', () => true],
    ['all but `when`', ({ kind }) => kind !== 'when'],
    ...kinds.map((kind): [string, Which] => [kind, (row) => row.kind === kind]),
  ];
}

function aboutOf(results: readonly ClipResult[]): string {
  const { trained } = results[0]!.answered;
  return (
    `${results.length} clips of 2 to 20 seconds; per cent of the questions, with 95 % intervals by bootstrap over ` +
    `clips, the last two rows in pairs. ${untuned} *Tuned*: the same decoder, a projector for VisionZip’s tokens. ` +
    `${trained ? '*Trained with it*: the same decoder, trained on with VisionZip’s tokens. ' : ''}` +
    'VisionZip holds the CLS token, *random* patches alone. *Shuffled*: all tokens, the frames in random order under ' +
    'the old times. *Another clip’s frames*: VisionZip, untuned, at this clip’s times. *Blind*: no frames, as ' +
    'never in training. *Chance*: always the guess that is best for the kind on 300 clips of another seed.'
  );
}

/** Every wrong answer of some settings. */
export function mistakesOf(
  results: readonly ClipResult[],
  settings: readonly string[],
): (ClipRow & { readonly clip: string; readonly setting: string; readonly prediction: string })[] {
  return results.flatMap(({ clip, rows, answered }) =>
    settings.flatMap((setting) =>
      rows
        .map((row, i) => ({ ...row, clip, setting, prediction: answered[setting]!.predictions[i]! }))
        .filter((row) => !isRight(row, row.prediction)),
    ),
  );
}
