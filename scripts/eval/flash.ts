import { defaultLimits, type OpenedVideo, openVideo } from '../../src/media/open.js';
import { splitBudget } from '../../src/models/split-budget.js';
import type { Model } from '../../src/models/types.js';
import { allow } from '../../src/pipeline/allow.js';
import { median } from '../bench/table.js';
import { isSeen } from '../clips/index.js';
import { NO_FLASH } from '../clips/questions.js';
import { ask, encodeAt } from './ask.js';
import { type ClipsWanted, type EvalClip, sceneOf } from './clips.js';
import { type Evaluation, forEachClip, type PartOutcome } from './evaluation.js';
import {
  type Answered,
  accuracy,
  type ClipResult,
  difference,
  percent,
  percentInterval,
  pointsInterval,
  ratio,
} from './results.js';
import { isRight } from './score.js';
import { allTokens, budgetsOf, kept, type Setting } from './settings.js';

type FlashEvaluation = Pick<Evaluation, 'model' | 'tuned'>;

/** Tokens a frame, all patches first, and how the worker shows so many. */
function flashSettings({
  model,
  tuned,
}: FlashEvaluation): { readonly T: number; readonly setting: Setting }[] {
  const own = tuned.get('visionzip');
  return [
    { T: model.vision.P, setting: allTokens(model) },
    ...budgetsOf(model).map((T) => ({ T, setting: kept(model, 'visionzip', T, own) })),
  ];
}

/** One brief flash in minutes of video: the fewer tokens a frame, the more frames fit into the context. */
export async function evaluateFlash(
  evaluation: Evaluation,
  count: number,
  seconds: readonly [number, number],
): Promise<PartOutcome> {
  const wanted: ClipsWanted = { seed: evaluation.seed, count, seconds, extraKind: 'flash', chunk: 2 };
  const journal = evaluation.journal('flash', { seconds });
  const results: ClipResult[] = [];
  await forEachClip(evaluation, 'long clips', wanted, async (clip) => {
    if (!journal.has(clip.id, 'all')) journal.add(await answerLongClip(evaluation, clip, wanted));
    results.push(journal.get(clip.id));
  });
  return flashOutcome(evaluation, results, seconds);
}

/** Decodes and encodes once all the frames that some setting has room for. */
async function answerLongClip(
  evaluation: FlashEvaluation,
  clip: EvalClip,
  wanted: ClipsWanted,
): Promise<ClipResult> {
  const { model } = evaluation;
  const { flash } = sceneOf(clip.id, wanted);
  const asked = { id: clip.id, rows: clip.rows.filter(({ kind }) => kind === 'flash') };
  const video = await openVideo(clip.file, defaultLimits);
  const plans = flashSettings(evaluation).map(({ T, setting }) => ({
    setting,
    indices: mostFrames(model, video, asked.rows[0]!.question, T),
  }));
  const union = [...new Set(plans.flatMap(({ indices }) => indices))].sort((a, b) => a - b);
  const encoded = await encodeAt(model, video, union);
  const frameAt = new Map(union.map((index, i) => [index, encoded[i]!]));
  const answered: Record<string, Answered> = {};
  for (const { setting, indices } of plans) {
    const frames = indices.map((index) => frameAt.get(index)!);
    const flashShown = indices.some((index) => isSeen(flash!, index));
    answered[setting.id] = { ...(await ask(model, setting, frames, asked)), flashShown };
  }
  return { clip: clip.id, rows: asked.rows, answered };
}

/** The most frames that the pipeline plans at T tokens each: the context decides, and what the model was trained on. */
function mostFrames(model: Model, video: OpenedVideo, question: string, T: number): readonly number[] {
  // More than that do not fit, even without their times.
  const fitting = Math.min(video.ptsSeconds.length, Math.floor(model.language.contextLength / T));
  const frames = Math.min(fitting, model.defaults.mostFrames ?? fitting);
  const [allowed] = allow(
    { ...model, defaults: { ...model.defaults, frames } },
    {
      questions: [question],
      sampling: {},
      compression: T === model.vision.P ? 'none' : splitBudget(T),
      generation: {},
    },
    video,
    video.info,
  );
  return allowed!.allowance.indices;
}

/** Flashes found against tokens a frame. */
export function flashOutcome(
  evaluation: FlashEvaluation,
  results: readonly ClipResult[],
  seconds: readonly [number, number],
): PartOutcome {
  const points = flashSettings(evaluation).map(({ T, setting: { id } }) => {
    const answers = results.map(({ rows, answered }) => ({ row: rows[0]!, ...answered[id]! }));
    return {
      tokens: T,
      frames: median(answers.map(({ frames }) => frames)),
      shown: shareOf(answers, ({ flashShown }) => flashShown === true),
      found: accuracy(results, id),
      ratio: ratio(results, id, 'all'),
      difference: difference(results, id, 'all'),
      byChance: shareOf(
        answers,
        ({ row, predictions, flashShown }) => !flashShown && isRight(row, predictions[0]!),
      ),
      none: shareOf(answers, ({ row, predictions }) =>
        isRight({ ...row, answer: NO_FLASH }, predictions[0]!),
      ),
    };
  });
  const { contextLength } = evaluation.model.language;
  const table = {
    title: 'A flash in a long clip',
    about:
      `${results.length} clips of ${seconds[0]} to ${seconds[1]} seconds, lengths even on a logarithmic scale, each ` +
      `with one flash of 0.3 to 0.8 seconds; as many even frames as fit into ${contextLength} tokens, ` +
      `at most ${evaluation.model.defaults.mostFrames ?? 'all'}. *Shown*: some frame ` +
      'has the flash. *Found*: some frame has it and its colour is named. *By chance*: its colour is named though no ' +
      'frame has it. Per cent of the clips, 95 % intervals by bootstrap over clips, against all tokens in pairs.',
    columns: [
      ...['tokens a frame', 'frames (median)', 'visual tokens', 'shown', 'found', 'of all tokens’'],
      ...['points against all tokens', 'by chance', 'answered “none”'],
    ],
    rows: points.map(({ tokens, frames, ...of }) => [
      ...[
        String(tokens),
        String(frames),
        String(frames * tokens),
        percent(of.shown),
        percentInterval(of.found),
      ],
      ...[percentInterval(of.ratio), pointsInterval(of.difference), percent(of.byChance), percent(of.none)],
    ]),
  };
  return { tables: [table], data: { clips: results.length, contextLength, points } };
}

function shareOf<T>(items: readonly T[], is: (item: T) => boolean): number {
  return items.filter(is).length / items.length;
}
