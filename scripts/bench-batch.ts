import { execFileSync } from 'node:child_process';
import { createWriteStream, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { askJobSchema, type Result } from '../queues/schemas.js';
import { answerRows } from '../src/batch/answer-rows.js';
import { layoutOf } from '../src/batch/layout.js';
import { BatchOutput, digestSettings } from '../src/batch/output.js';
import { type Format, openRows } from '../src/batch/readers/index.js';
import { surveyRows } from '../src/batch/survey.js';
import { Tally } from '../src/batch/tally.js';
import { textOf } from '../src/pipeline/questions.js';
import { parseCount } from './arguments.js';

const usage = `Usage: node dist/scripts/bench-batch.js [--rows N] [--format NAME] [--row-group N] [--id]

Answers a file of N rows (default 1,000,000) by a model that costs nothing, then goes on with the finished output, and prints how long
each took and the peak of resident memory, beside that of a thousandth of the rows.

  --rows N       how many rows
  --format NAME  one format alone (default: jsonl, json, csv, parquet)
  --row-group N  rows of a row group of Parquet (default: 100,000)
  --id           rows are known by their field \`id\``;

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    format: { type: 'string' },
    'row-group': { type: 'string', default: '100000' },
    id: { type: 'boolean', default: false },
    child: { type: 'string' },
    help: { type: 'boolean', short: 'h' },
  },
});

if (values.help) console.log(usage);
else if (values.child) await answer(values.child);
else await bench(parseCount('rows', values.rows, 1000));

async function bench(rows: number): Promise<void> {
  const formats = (values.format ? [values.format] : ['jsonl', 'json', 'csv', 'parquet']) as Format[];
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-bench-batch-'));
  try {
    for (const format of formats) {
      for (const count of [rows / 1000, rows]) {
        const file = join(folder, `rows.${format}`);
        await writeRows(file, format, Math.round(count));
        console.log(`${format}, ${(statSync(file).size / 1e6).toFixed(1)} MB: ${runChild(file)}`);
        rmSync(`${file}.out`, { force: true });
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runChild(file: string): string {
  const args = [fileURLToPath(import.meta.url), '--child', file, ...(values.id ? ['--id'] : [])];
  return execFileSync(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    .toString()
    .trim();
}

function rowOf(id: number) {
  return {
    id: `q${id}`,
    video: `clip-${Math.floor(id / 10)}.mp4`,
    question: `What happens behind the red car after ${id} seconds?`,
    answer: 'yes',
  };
}

async function writeRows(file: string, format: Format, count: number): Promise<void> {
  if (format === 'parquet') return writeParquet(file, count);
  const rowText = (id: number) =>
    format === 'csv' ? `${Object.values(rowOf(id)).join(',')}\n` : `${JSON.stringify(rowOf(id))}\n`;
  await pipeline(async function* () {
    if (format === 'csv') yield `${Object.keys(rowOf(0)).join(',')}\n`;
    for (let id = 0; id < count; id++)
      yield format === 'json' ? `${id > 0 ? ',' : '['}${rowText(id)}` : rowText(id);
    if (format === 'json') yield ']\n';
  }, createWriteStream(file));
}

async function writeParquet(file: string, count: number): Promise<void> {
  const { parquetWriteBuffer } = await import('hyparquet-writer');
  const rows = Array.from({ length: count }, (_, id) => rowOf(id));
  const names = Object.keys(rowOf(0)) as (keyof ReturnType<typeof rowOf>)[];
  const columnData = names.map((name) => ({ name, data: rows.map((row) => row[name]) }));
  writeFileSync(
    file,
    Buffer.from(
      parquetWriteBuffer({ columnData, rowGroupSize: parseCount('row-group', values['row-group'], 1) }),
    ),
  );
}

async function answer(path: string): Promise<void> {
  const [first, again] = [await answerFile(path), await answerFile(path)];
  const peak = process.resourceUsage().maxRSS / 1024;
  const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  console.log(
    `${first.rows} rows in ${seconds(first.ms)} (${first.jobs} jobs), with all there in ${seconds(again.ms)}, peak ${peak.toFixed(0)} MiB`,
  );
}

async function answerFile(path: string) {
  const started = performance.now();
  const idField = values.id ? 'id' : undefined;
  const layout = layoutOf({ file: path, folder: '/videos', idField });
  const file = await openRows(path);
  const survey = await surveyRows(file, layout, {});
  const settings = { model: 'nano' };
  const options = { rows: survey.rows, settings: digestSettings(settings), replace: false, idField };
  const output = await BatchOutput.open(`${path}.out`, options);
  const tally = new Tally(survey.wanted, 0, { stderr: { isTTY: false, write: () => true } });
  const jobs = await answerRows({
    ...{ file, layout, survey, output, tally, settings },
    again: 'open',
    build: (video, questions, given) => askJobSchema.parse({ video, questions, ...given }),
    ask: async ({ questions }) => resultOf(questions.map(textOf)),
    inFlight: 4,
    signal: new AbortController().signal,
  });
  await output.finish();
  await output.close();
  return { rows: survey.wanted, jobs, ms: performance.now() - started };
}

/** Of a document what a batch reads. */
function resultOf(questions: readonly string[]): Result {
  const answers = questions.map((question) => ({
    question,
    answer: 'yes',
    finishReason: 'stop',
    newTokens: 1,
  }));
  const video = { warnings: [] };
  const document = { id: 'bench', status: 'completed', answers, video, plan: { frames: 16 } };
  return {
    ...document,
    model: { name: 'nano' },
    tokens: { before: 1, after: 1 },
    timings: {},
  } as unknown as Result;
}
