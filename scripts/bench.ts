import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { loadModel } from '../src/models/load.js';
import { parseCount } from './arguments.js';
import { benchCompress } from './bench/compress.js';
import { benchDecode } from './bench/decode.js';
import { benchMemory, makeClip } from './bench/memory.js';
import { benchPeers, missingPeers } from './bench/peers.js';
import { machine, writeResults } from './bench/report.js';
import { benchSampler } from './bench/sampler.js';
import { benchCompression, benchStages, type StageBench } from './bench/stages.js';
import { type Table, toMarkdown } from './bench/table.js';
import { makeClips, readQuestions } from './clip-files.js';

const root = fileURLToPath(new URL('../..', import.meta.url));

const usage = `Usage: npm run bench -- [--peers] [--model DIR] [--runs N] [--write] [--json]

Measures the pipeline on this machine and prints the tables: stage by stage, VisionZip's own time, with and
without compression, the decoder's strategies, resident memory. A few minutes on two cores.

  --peers      instead, reading frames beside torchcodec and PyAV. Makes clips of up to an hour in .cache/bench (6 GB)
  --model DIR  a prepared model (default: models/nano)
  --runs N     measured runs of each setting (default: 9)
  --write      also replace the part of docs/results.md that this command made
  --json       one JSON document instead of the tables`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      peers: { type: 'boolean', default: false },
      model: { type: 'string', default: join(root, 'models/nano') },
      runs: { type: 'string', default: '9' },
      write: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const runs = parseCount('runs', values.runs, 1);
  const tables = values.peers ? await measurePeers(runs) : await measurePipeline(values.model, runs);
  if (tables.length === 0) return;
  const text = [machine(), '', ...tables.map(toMarkdown)].join('\n');
  console.log(values.json ? JSON.stringify({ machine: machine(), tables }, null, 2) : text);
  if (values.write) writeResults(values.peers ? 'peers' : 'bench', text);
}

/** No table where the peers are not installed. */
async function measurePeers(rounds: number): Promise<Table[]> {
  const python = join(root, '.venv/bin/python');
  const missing = missingPeers(python);
  if (missing === null) return [await benchPeers({ clips: join(root, '.cache/bench'), python, rounds })];
  console.error(`bench: ${missing}`);
  return [];
}

async function measurePipeline(modelDir: string, runs: number): Promise<Table[]> {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-bench-'));
  try {
    return await measure(folder, modelDir, runs);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measure(folder: string, modelDir: string, runs: number): Promise<Table[]> {
  await makeClips(4, 1, folder);
  const asked = readQuestions(folder);
  const bench: StageBench = {
    clip: join(folder, asked[0]!.video),
    questions: asked.map(({ question }) => question),
    runs,
  };
  const tables: Table[] = [];
  const add = (table: Table) => {
    tables.push(table);
    console.error(`measured: ${table.title}`);
  };
  const model = await loadModel(modelDir, { threads: cpus().length });
  add(await benchStages(model, bench));
  add(await benchCompression(model, bench, [4, 8, 12]));
  await model.release();
  add(benchCompress());
  add(benchSampler());
  for (const table of await benchDecode()) add(table);
  const clips = [10, 600].map((seconds) => ({ name: `${seconds} s`, file: makeClip(folder, seconds) }));
  add(benchMemory(modelDir, clips, [8, 64]));
  return tables;
}

await main();
