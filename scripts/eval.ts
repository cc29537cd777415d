import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import cliProgress from 'cli-progress';
import { createRandom } from '../src/clips/index.js';
import { loadModel } from '../src/model/load.js';
import { answerVideo } from '../src/pipeline/answer.js';
import type { Model } from '../src/pipeline/model.js';
import { defaultLimits } from '../src/pipeline/source.js';
import type { Compression } from '../src/pipeline/types.js';
import { type Table, toMarkdown } from './bench/table.js';
import { type ClipRow, makeClips, readQuestions } from './clip-files.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const usage = `Usage: npm run --silent eval -- [--seed S] [--count N] [--model DIR] [--frames N] [--compression none|auto|D+C]

Makes clips from a seed, asks every question about them through the whole pipeline, from the encoded file, and
prints how many answers are exactly right (case and a final full stop aside), with 95 % intervals (bootstrap over
clips).

  --seed S         seed of the clips (default: 1)
  --count N        number of clips (default: 200)
  --model DIR      a prepared model (default: models/nano)
  --frames N       frames a clip (default: the model's)
  --compression C  none, auto or D+C, e.g. 14+3 (default: auto)
  --mistakes       also print every wrong answer
  --json           one JSON document instead of the table`;

interface Judged extends ClipRow {
  readonly prediction: string;
  readonly right: boolean;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      count: { type: 'string', default: '200' },
      model: { type: 'string', default: join(root, 'models/nano') },
      frames: { type: 'string' },
      compression: { type: 'string', default: 'auto' },
      mistakes: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const compression = parseCompression(values.compression);
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-eval-'));
  const model = await loadModel(values.model, { threads: cpus().length });
  try {
    await makeClips(Number(values.seed), Number(values.count), folder);
    const judged = await judge(model, folder, compression, values.frames ? Number(values.frames) : undefined);
    if (values.json) return console.log(JSON.stringify({ rows: accuracyRows(judged), judged }, null, 2));
    console.log(toMarkdown(table(judged, compression)));
    if (values.mistakes) for (const row of judged) if (!row.right) console.log(JSON.stringify(row));
  } finally {
    await model.release();
    rmSync(folder, { recursive: true });
  }
}

/** Asks all questions on a clip in one job. */
async function judge(
  model: Model,
  folder: string,
  compression: Compression,
  frames?: number,
): Promise<Judged[]> {
  const rows = readQuestions(folder);
  const byVideo = groupByVideo(rows);
  const bar = new cliProgress.SingleBar({ stream: process.stderr, noTTYOutput: false });
  bar.start(byVideo.size, 0);
  const judged: Judged[] = [];
  for (const [video, asked] of byVideo) {
    const { answers } = await answerVideo(model, {
      video: join(folder, video),
      questions: asked.map(({ question }) => question),
      sampling: frames === undefined ? {} : { frames },
      compression,
      generation: {},
      limits: defaultLimits,
    });
    asked.forEach((row, i) => {
      const prediction = answers[i]!.answer;
      judged.push({ ...row, prediction, right: normalise(prediction) === normalise(row.answer) });
    });
    bar.increment();
  }
  bar.stop();
  return judged;
}

function groupByVideo<T extends { readonly video: string }>(rows: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) groups.set(row.video, [...(groups.get(row.video) ?? []), row]);
  return groups;
}

function normalise(answer: string): string {
  return answer.trim().toLowerCase().replace(/\.$/, '');
}

interface AccuracyRow {
  readonly kind: string;
  readonly questions: number;
  readonly right: number;
  readonly low: number;
  readonly high: number;
}

function accuracyRows(judged: readonly Judged[]): AccuracyRow[] {
  const kinds = [...new Set(judged.map(({ kind }) => kind))].sort();
  return ['all', ...kinds].map((kind) => {
    const rows = kind === 'all' ? judged : judged.filter((row) => row.kind === kind);
    return { kind, questions: rows.length, right: share(rows), ...interval(rows) };
  });
}

function share(rows: readonly Judged[]): number {
  return rows.filter(({ right }) => right).length / rows.length;
}

/** 95 % interval by 1,000 draws of as many clips, with replacement. */
function interval(rows: readonly Judged[]): { low: number; high: number } {
  const clips = [...groupByVideo(rows).values()];
  const random = createRandom('bootstrap');
  const shares = Array.from({ length: 1000 }, () =>
    share(Array.from(clips, () => random.pick(clips)).flat()),
  ).sort((a, b) => a - b);
  return { low: shares[24]!, high: shares[975]! };
}

function table(judged: readonly Judged[], compression: Compression): Table {
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  return {
    title: 'Exactly right answers',
    about: `Unseen clips, through the whole pipeline; compression ${JSON.stringify(compression)}.`,
    columns: ['kind', 'questions', 'right', '95 % interval'],
    rows: accuracyRows(judged).map(({ kind, questions, right, low, high }) => [
      kind,
      String(questions),
      percent(right),
      `${percent(low)} – ${percent(high)}`,
    ]),
  };
}

function parseCompression(text: string): Compression {
  if (text === 'none' || text === 'auto') return text;
  const [, dominant, contextual] = /^(\d+)\+(\d+)$/.exec(text) ?? [];
  if (!dominant) throw new RangeError(`--compression must be none, auto or D+C, e.g. 14+3, got ${text}`);
  return { dominant: Number(dominant), contextual: Number(contextual) };
}

await main();
