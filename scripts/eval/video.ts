import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { defaultLimits, openVideo } from '../../src/media/open.js';
import { answerVideo } from '../../src/pipeline/answer.js';
import type { OverTime, Sampling } from '../../src/pipeline/types.js';
import type { Table } from '../bench/table.js';
import type { ClipRow } from '../clip-files.js';
import { bootstrap, type Interval } from './bootstrap.js';
import type { ClipsWanted, EvalClip } from './clips.js';
import { type Evaluation, forEachClip, type PartOutcome, shortClips } from './evaluation.js';
import {
  type Answered,
  accuracy,
  type ClipResult,
  difference,
  percent,
  percentInterval,
  pointsInterval,
  sameAnswers,
} from './results.js';

/** One way to look at a whole video, as a job does. */
interface Way {
  readonly id: string;
  readonly title: string;
  readonly overTime?: OverTime;
  sampling(seconds: number): Sampling;
}

/** What a way answered, and what it cost. */
interface Looked extends Answered {
  /** Frames that went through the tower. */
  readonly encoded: number;
  /** Visual ones. */
  readonly tokens: number;
  /** Looking for events, a second of video. */
  readonly chooseMs: number;
}

const longWays: readonly Way[] = [
  { id: 'auto', title: 'up to half where something changes (default)', sampling: () => ({}) },
  { id: 'auto-8', title: 'the same, 8 frames', sampling: () => ({ frames: 8 }) },
  { id: 'fast', title: 'by keyframes and sizes of packets alone', sampling: () => ({ method: 'fast' }) },
  { id: 'uniform', title: 'evenly', sampling: () => ({ method: 'uniform' }) },
  { id: 'uniform-8', title: 'evenly, 8 frames', sampling: () => ({ method: 'uniform', frames: 8 }) },
  {
    id: 'last',
    title: 'the last ones, one a second',
    sampling: (seconds) => ({ method: 'uniform', startSeconds: Math.max(0, seconds - LAST_SECONDS) }),
  },
];

/** As long as the model's most frames are one a second. */
const LAST_SECONDS = 64;

const stillWays: readonly Way[] = [
  {
    id: 'keep',
    title: 'every frame encoded',
    overTime: { duplicates: 'keep' },
    sampling: () => ({ method: 'uniform' }),
  },
  { id: 'drop', title: 'duplicates dropped (default)', sampling: () => ({ method: 'uniform' }) },
];

/** How long a clip that stands still goes on behind its end, in seconds. */
const STILL_SECONDS = 60;

export interface VideoCounts {
  readonly flashClips: number;
  readonly flashSeconds: readonly [number, number];
  readonly stillClips: number;
}

/** Whole videos through the pipeline: which frames are looked at, and which of them are encoded. */
export async function evaluateVideo(evaluation: Evaluation, counts: VideoCounts): Promise<PartOutcome> {
  const { flashClips, flashSeconds: seconds, stillClips } = counts;
  const withFlash = {
    seed: evaluation.seed,
    count: flashClips,
    seconds,
    extraKind: 'flash',
    chunk: 2,
  } as const;
  const without = { ...withFlash, count: Math.ceil(flashClips / 4), extraKind: 'when' } as const;
  const flashes = await look(evaluation, 'a flash', withFlash, longWays);
  const nothing = await look(evaluation, 'no flash', without, longWays, onlyFlash);
  const still = await look(
    evaluation,
    'still',
    shortClips(evaluation, stillClips),
    stillWays,
    undefined,
    standStill,
  );
  const data = { flashes: flashData(flashes, nothing), still: stillData(still) };
  return { tables: [flashTable(flashes, nothing, seconds), stillTable(still)], data };
}

/** Where there is none, the model was trained to say so. */
const flashQuestion: ClipRow = {
  video: '',
  question: 'What colour is the flash?',
  answer: 'none',
  kind: 'flash',
};
const onlyFlash = (): ClipRow[] => [flashQuestion];

async function look(
  evaluation: Evaluation,
  title: string,
  wanted: ClipsWanted,
  ways: readonly Way[],
  rowsOf = ({ rows }: EvalClip): readonly ClipRow[] => rows,
  fileOf = async (_: Evaluation, { file }: EvalClip): Promise<string> => file,
): Promise<ClipResult[]> {
  const journal = evaluation.journal('video', { title, wanted, ways });
  const results: ClipResult[] = [];
  await forEachClip(evaluation, title, wanted, async (clip) => {
    const rows = rowsOf(clip);
    const answered: Record<string, Looked> = {};
    for (const way of ways.filter(({ id }) => !journal.has(clip.id, id))) {
      answered[way.id] = await answer(evaluation, await fileOf(evaluation, clip), rows, way);
    }
    journal.add({ clip: clip.id, rows, answered });
    results.push(journal.get(clip.id));
  });
  return results;
}

async function answer(
  { model, signal }: Evaluation,
  video: string,
  rows: readonly ClipRow[],
  way: Way,
): Promise<Looked> {
  const questions = rows.map(({ question }) => question);
  const { durationSeconds } = (await openVideo(video, defaultLimits)).info;
  const request = { video, questions, sampling: way.sampling(durationSeconds), overTime: way.overTime };
  const { answers, frames, tokens, timings } = await answerVideo(model, request, { signal });
  return {
    predictions: answers.map((one) => one.answer),
    frames: frames.length,
    encoded: frames.filter((frame) => frame.tokens > 0).length,
    tokens: tokens.after,
    ms: timings.totalMs,
    chooseMs: timings.chooseMs / durationSeconds,
  };
}

/** The clip, and its last frame for a minute; made once. */
async function standStill({ clips, signal }: Evaluation, { id, file }: EvalClip): Promise<string> {
  const folder = join(clips, 'still');
  const target = join(folder, `${id.replaceAll('/', '-')}`);
  if (existsSync(target)) return target;
  mkdirSync(folder, { recursive: true });
  const part = `${target}.part.mp4`;
  const filter = `tpad=stop_mode=clone:stop_duration=${STILL_SECONDS}`;
  const coding = ['-c:v', 'libx264', '-crf', '20', '-pix_fmt', 'yuv420p'];
  await promisify(execFile)('ffmpeg', ['-v', 'error', '-y', '-i', file, '-vf', filter, ...coding, part], {
    signal,
  });
  renameSync(part, target);
  return target;
}

const isFlash = ({ kind }: ClipRow) => kind === 'flash';

function flashData(flashes: readonly ClipResult[], nothing: readonly ClipResult[]) {
  return longWays.map(({ id, title }) => ({
    ...{ id, title },
    found: accuracy(flashes, id, isFlash),
    others: accuracy(flashes, id, (row) => !isFlash(row)),
    imagined: shareOf(nothing, id, ({ predictions }) => Number(predictions[0] !== flashQuestion.answer)),
    frames: shareOf(flashes, id, ({ frames }) => frames),
    tokens: shareOf(flashes, id, ({ tokens }) => tokens),
    chooseMs: shareOf(flashes, id, ({ chooseMs }) => chooseMs),
    ms: shareOf(flashes, id, ({ ms }) => ms),
  }));
}

function flashTable(
  flashes: readonly ClipResult[],
  nothing: readonly ClipResult[],
  seconds: readonly [number, number],
): Table {
  return {
    title: 'Which frames of a long video',
    about:
      `${flashes.length} clips of ${seconds.join(' to ')} seconds, lengths even on a logarithmic scale, each with one flash of 0.3 to 0.8 ` +
      'seconds, through the pipeline with VisionZip at its default. *Found*: the colour of the flash is named. *Imagined*: a colour is named on ' +
      `${nothing.length} clips without a flash. *Frames* and *tokens*: visual ones, on average. *Looking*: milliseconds for each second of video. Per cent, 95 % intervals by bootstrap over clips.`,
    columns: [
      'which frames',
      'frames',
      'tokens',
      'flash found',
      'other questions right',
      'imagined',
      'looking, ms/s',
      'job, s',
    ],
    rows: flashData(flashes, nothing).map((row) => [
      row.title,
      row.frames.value.toFixed(0),
      row.tokens.value.toFixed(0),
      percentInterval(row.found),
      percentInterval(row.others),
      percent(row.imagined.value),
      row.chooseMs.value.toFixed(1),
      (row.ms.value / 1000).toFixed(1),
    ]),
  };
}

function stillData(still: readonly ClipResult[]) {
  return stillWays.map(({ id, title }) => ({
    ...{ id, title },
    right: accuracy(still, id),
    difference: difference(still, id, 'keep'),
    encoded: shareOf(still, id, ({ encoded, frames }) => encoded / frames),
    same: sameAnswers(still, id, 'keep'),
  }));
}

function stillTable(still: readonly ClipResult[]): Table {
  return {
    title: 'Frames that show what the one before shows',
    about:
      `${still.length} of the short clips, whose last frame stays for ${STILL_SECONDS} seconds; frames evenly, as many as by default. *Encoded*: of the frames, ` +
      'how many go through the tower.',
    columns: ['frames', 'right', 'points', 'encoded', 'the same answers'],
    rows: stillData(still).map((row) => [
      row.title,
      percentInterval(row.right),
      pointsInterval(row.difference),
      `${percent(row.encoded.value)} %`,
      `${percent(row.same)} %`,
    ]),
  };
}

function shareOf(results: readonly ClipResult[], id: string, of: (answered: Looked) => number): Interval {
  const values = results.map(({ answered }) => of(answered[id] as Looked));
  return bootstrap(values, (sample) => sample.reduce((sum, value) => sum + value, 0) / sample.length);
}
