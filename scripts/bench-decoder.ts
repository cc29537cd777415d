import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Dtype, dtypes } from '../src/models/layout.js';
import { parseCount } from './arguments.js';
import { benchDecoder } from './bench/decoder.js';
import { machine, writeResults } from './bench/report.js';
import { toMarkdown } from './bench/table.js';

const root = new URL('../../', import.meta.url);

const usage = `Usage: npm run bench:decoder -- [--model DIR] [--python COMMAND] [--dtypes LIST] [--rounds N] [--threads N] [--write] [--json]

Drives a decoder with real weights, SmolLM2-135M-Instruct: whether it answers as transformers does, token for token, and
its tokens a second beside llama.cpp with the same weights. About five minutes on two cores.

  --model DIR       what training/published/smollm2.py wrote (default: training/work/smollm2)
  --python COMMAND  a Python with the packages of training/published (default: training/.venv/bin/python)
  --dtypes LIST     types of weights, by commas (default: fp32,int8,q4)
  --rounds N        rounds over all decoders, after one to warm up (default: 5)
  --threads N       threads of each (default: as many as there are cores)
  --write           also replace the part of docs/results.md that this command made
  --json            one JSON document instead of the tables`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: fileURLToPath(new URL('training/work/smollm2', root)) },
      python: { type: 'string', default: fileURLToPath(new URL('training/.venv/bin/python', root)) },
      dtypes: { type: 'string', default: 'fp32,int8,q4' },
      rounds: { type: 'string', default: '5' },
      threads: { type: 'string', default: String(cpus().length) },
      write: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const { model, python } = values;
  if (!existsSync(join(model, 'answers.json')))
    throw new Error(
      `--model must name what training/published/smollm2.py writes; ${model} has no answers.json`,
    );
  const tables = await benchDecoder({
    ...{ model, python, dtypes: values.dtypes.split(',').map(dtypeOf) },
    rounds: parseCount('rounds', values.rounds, 1),
    threads: parseCount('threads', values.threads, 1),
    onDone: (what) => console.error(`measured: ${what}`),
  });
  if (values.json) return console.log(JSON.stringify({ machine: machine(), tables }, null, 2));
  const text = [machine(), '', ...tables.map(toMarkdown)].join('\n');
  console.log(text);
  if (values.write) writeResults('decoder', text);
}

function dtypeOf(name: string): Dtype {
  const dtype = dtypes.find((known) => known === name);
  if (!dtype) throw new Error(`--dtypes must be of ${dtypes.join(', ')}; got ${name}`);
  return dtype;
}

await main();
