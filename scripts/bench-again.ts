import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { shippedModel } from '../src/models/shipped.js';
import { parseCount } from './arguments.js';
import { type AgainClip, benchAgain } from './bench/again.js';
import { makeClip } from './bench/memory.js';
import { machine, writeResults } from './bench/report.js';
import { type Table, toMarkdown } from './bench/table.js';
import { makeClips, readQuestions } from './clip-files.js';

const usage = `Usage: npm run bench:again -- [--model DIR]... [--large DIR]... [--runs N] [--write] [--json]

Measures what a question costs about a video that was asked about before: while it lies prefilled in the language
model, and when only its tokens are stored; and ten questions in one job. A few minutes on two cores.

  --model DIR  a prepared model; may be repeated (default: models/nano)
  --large DIR  one that is asked about 8 frames of a short clip alone, since it takes seconds a frame; may be repeated
  --runs N     rounds, in each every kind of question (default: 5)
  --write      also replace the part of docs/results.md that this command made
  --json       one JSON document instead of the tables`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', multiple: true, default: [shippedModel] },
      large: { type: 'string', multiple: true, default: [] },
      runs: { type: 'string', default: '5' },
      write: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const rounds = parseCount('runs', values.runs, 1);
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-bench-'));
  try {
    const tables = await measure(folder, values, rounds);
    const text = [machine(), '', ...tables.map(toMarkdown)].join('\n');
    console.log(values.json ? JSON.stringify({ machine: machine(), tables }, null, 2) : text);
    if (values.write) writeResults('again', text);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(
  folder: string,
  { model, large }: { readonly model: readonly string[]; readonly large: readonly string[] },
  rounds: number,
): Promise<Table[]> {
  await makeClips(4, 2, folder, { most: 8 });
  const asked = readQuestions(folder).filter(({ video }) => video === 'clip-000.mp4');
  const questions = [...asked.map(({ question }) => question), 'What moves?', 'What is in the middle?'];
  const shapes = { name: 'shapes, 192 × 192', file: join(folder, 'clip-000.mp4'), frames: 8 };
  const minute = { name: 'a minute, 640 × 360', file: makeClip(folder, 60) };
  const other = join(folder, 'clip-001.mp4');
  const tables: Table[] = [];
  const add = async (modelDir: string, clips: readonly AgainClip[]) => {
    tables.push(await benchAgain({ modelDir: resolve(modelDir), clips, other, questions, rounds }));
    console.error(`measured: ${modelDir}`);
  };
  for (const modelDir of model) await add(modelDir, [shapes, minute]);
  for (const modelDir of large) await add(modelDir, [shapes]);
  return tables;
}

await main();
