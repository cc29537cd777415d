import { roundToHalf } from '../../src/pipeline/half.js';
import { packTokens, unpackTokens } from '../../src/pipeline/stored-video.js';
import type { TokenBlock } from '../../src/pipeline/types.js';
import type { Table } from '../bench/table.js';
import type { Evaluation, PartOutcome } from './evaluation.js';
import {
  accuracy,
  type ClipResult,
  difference,
  percent,
  percentInterval,
  pointsInterval,
  sameAnswers,
} from './results.js';
import { allTokens, kept, mainBudget, type Setting } from './settings.js';
import { answerShortClips } from './short-clips.js';

/** A setting with tokens in single precision, beside the same with what the store gives back. */
interface Pair {
  readonly title: string;
  readonly single: Setting;
  readonly half: Setting;
}

/** The same questions, with the video's tokens as the projector gives them and as a store keeps them. */
export async function evaluateHalf(evaluation: Evaluation, count: number): Promise<PartOutcome> {
  const pairs = pairsOf(evaluation);
  const results = await answerShortClips(evaluation, {
    ...{ title: 'half precision', model: evaluation.model, clips: count },
    // That of the short clips: what was asked there in single precision is not asked again.
    journal: evaluation.journal('short'),
    settingsOf: () => pairs.flatMap(({ single, half }) => [single, half]),
  });
  return halfOutcome(
    results,
    pairs.map(({ title, single, half }) => ({ title, single: single.id, half: half.id })),
  );
}

function pairsOf({ model, tuned }: Evaluation): Pair[] {
  const T = mainBudget(model);
  const all = allTokens(model);
  const visionzip = kept(model, 'visionzip', T, tuned.get('visionzip'));
  return [
    { title: 'all tokens', single: all, half: throughStore(all, model.language.H) },
    { title: `VisionZip ${T}`, single: visionzip, half: throughStore(visionzip, model.language.H) },
  ];
}

/** The setting's tokens as the pipeline rounds them, written as a file of the store and read again. */
export function throughStore(setting: Setting, H: number): Setting {
  return {
    ...setting,
    id: `${setting.id} half`,
    show: async (frames, seed) => writeAndRead(await setting.show(frames, seed), H),
  };
}

function writeAndRead(blocks: readonly TokenBlock[], H: number): TokenBlock[] {
  const rounded = blocks.map((block) => ({ ...block, embeds: roundToHalf(block.embeds) }));
  const tokens = {
    ...{ H, blocks: rounded, frames: [], vectors: { D: 0, values: new Float32Array(0) } },
    ...{ tokensBefore: 0, durationSeconds: 0, isStill: false, inCrops: false },
    ...{ grid: { rows: 0, columns: 0 }, framesTogether: 1 },
  };
  const read = unpackTokens(packTokens({ tokens, substituted: new Map() }));
  return [...read!.tokens.blocks];
}

/** Right answers both ways, and how many are the same. */
export function halfOutcome(
  results: readonly ClipResult[],
  pairs: readonly { readonly title: string; readonly single: string; readonly half: string }[],
): PartOutcome {
  const questions = results.flatMap(({ rows }) => rows).length;
  const rows = pairs.map(({ title, single, half }) => ({
    title,
    single: accuracy(results, single),
    half: accuracy(results, half),
    difference: difference(results, half, single),
    same: sameAnswers(results, half, single),
  }));
  const table: Table = {
    title: 'Tokens in half precision',
    about:
      `${questions} questions on ${results.length} of the short clips. *Float32*: the tokens as the projector gives them. *Half*: the same ` +
      'written as the token store writes them, and read again. Per cent, 95 % intervals by bootstrap over clips, points in pairs.',
    columns: ['tokens', 'right, float32', 'right, half', 'points', 'the same answers'],
    rows: rows.map((row) => [
      row.title,
      percentInterval(row.single),
      percentInterval(row.half),
      pointsInterval(row.difference),
      `${percent(row.same)} %`,
    ]),
  };
  return { tables: [table], data: { clips: results.length, questions, rows } };
}
