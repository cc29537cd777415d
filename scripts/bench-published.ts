import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Dtype, dtypes } from '../src/models/layout.js';
import { parseCount } from './arguments.js';
import { benchPublished } from './bench/published.js';
import { machine, writeResults } from './bench/report.js';
import { type Table, toMarkdown } from './bench/table.js';
import { benchWholeJobs } from './bench/whole-jobs.js';

const usage = `Usage: npm run bench:published -- --models DIR [--python COMMAND] [--dtypes LIST] [--runs N] [--write] [--json]
       npm run bench:published -- --jobs DIR,DIR --video FILE [--frames LIST] [--runs N] [--write] [--json]

Measures published models at true size beside transformers in PyTorch: preparing, the tower's seconds a frame,
prefill and first token with and without VisionZip. About 25 minutes on two cores, 8 GiB of memory.

With --jobs it measures whole jobs of prepared models: seconds a frame, first token, tokens a second, memory.

  --jobs DIRS       folders of prepared models, by commas
  --video FILE      what is asked about
  --frames LIST     frames of a job, by commas (default: 8)
  --models DIR      what training/published/true_size.py wrote: DIR/weights and DIR/model
  --python COMMAND  a Python with the packages of training/published (default: training/.venv/bin/python)
  --dtypes LIST     types of weights, by commas (default: fp32,int8,q4)
  --runs N          rounds over all settings (default: 3)
  --write           also replace the part of docs/results.md that this command made
  --json            one JSON document instead of the tables`;

function main(): void {
  const { values } = parseArgs({
    options: {
      models: { type: 'string' },
      jobs: { type: 'string' },
      video: { type: 'string' },
      frames: { type: 'string', default: '8' },
      python: {
        type: 'string',
        default: fileURLToPath(new URL('../../training/.venv/bin/python', import.meta.url)),
      },
      dtypes: { type: 'string', default: 'fp32,int8,q4' },
      runs: { type: 'string', default: '3' },
      write: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) {
    console.log(usage);
    return;
  }
  const onDone = (what: string) => console.error(`measured: ${what}`);
  const runs = parseCount('runs', values.runs, 1);
  if (values.jobs) {
    if (!values.video) throw new Error('--jobs needs --video, the file that is asked about');
    const frames = values.frames.split(',').map((count) => parseCount('frames', count, 1));
    const jobs = { models: values.jobs.split(','), video: values.video, frames, runs, onDone };
    print(benchWholeJobs(jobs), 'published-jobs', values);
    return;
  }
  const { models } = values;
  if (!models || !existsSync(join(models, 'weights')) || !existsSync(join(models, 'model')))
    throw new Error(
      `--models must name a folder with weights and model, as training/published/true_size.py writes it; got ${models ?? 'none'}`,
    );
  const tables = benchPublished({
    models,
    python: values.python,
    dtypes: values.dtypes.split(',').map(dtypeOf),
    runs,
    onDone,
  });
  print(tables, 'published', values);
}

/** @param part of docs/results.md. */
function print(
  tables: readonly Table[],
  part: string,
  { json, write }: { readonly json?: boolean; readonly write?: boolean },
): void {
  if (json) {
    console.log(JSON.stringify({ machine: machine(), tables }, null, 2));
    return;
  }
  const text = [machine(), '', ...tables.map(toMarkdown)].join('\n');
  console.log(text);
  if (write) writeResults(part, text);
}

function dtypeOf(name: string): Dtype {
  const dtype = dtypes.find((known) => known === name);
  if (!dtype) throw new Error(`--dtypes must be of ${dtypes.join(', ')}; got ${name}`);
  return dtype;
}

main();
