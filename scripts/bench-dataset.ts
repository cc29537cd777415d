import { availableParallelism, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { parseCount } from './arguments.js';
import { type DatasetRun, runDataset } from './bench/dataset.js';
import { datasetTables } from './bench/dataset-tables.js';
import { measureQueueCost, measureSpeedUp } from './bench/queue-cost.js';
import { forgetAnswers, type RedisUse, useOfRedis } from './bench/redis-use.js';
import { machine, writeResults } from './bench/report.js';
import { toMarkdown } from './bench/table.js';
import { makeDataset } from './dataset-rows.js';
import { Stage } from './stage.js';

const usage = `Usage: npm run bench:dataset -- [--rows N] [--clips N] [--workers N] [--jobs N] [--write] [--json]

Answers a dataset of clips made for it by \`visionzip batch\` through a queue, twice: from nothing, and with the videos encoded in the token
store and no answer kept. Then measures what a job costs that computes nothing, and how 1, 2 and 4 workers share jobs that
are a wait. Everything runs in processes and a Redis of its own. About half an hour on two cores.

  --rows N     rows (default: 10,000)
  --clips N    clips that they ask about, as many of each (default: 500)
  --workers N  worker processes with a thread each (default: 2)
  --jobs N     jobs that compute nothing (default: 1,000)
  --wait-ms N  what a job of those that wait takes (default: 200)
  --seed S     whole number that decides the clips (default: 0)
  --write      also replace the part of docs/results.md that this command made
  --json       one JSON document instead of the tables`;

export interface DatasetFigures {
  readonly rows: number;
  readonly clips: number;
  readonly workers: number;
  readonly waitMs: number;
  /** Of the machine when it began: what others did meanwhile. */
  readonly load: number;
  readonly cores: number;
  readonly cold: DatasetRun;
  readonly warm: DatasetRun;
  readonly redis: RedisUse;
  readonly cost: Awaited<ReturnType<typeof measureQueueCost>>;
  readonly speedUps: Awaited<ReturnType<typeof measureSpeedUp>>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rows: { type: 'string', default: '10000' },
      clips: { type: 'string', default: '500' },
      workers: { type: 'string', default: '2' },
      jobs: { type: 'string', default: '1000' },
      'wait-ms': { type: 'string', default: '200' },
      seed: { type: 'string', default: '0' },
      write: { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const figures = await measure({
    rows: parseCount('rows', values.rows, 1),
    clips: parseCount('clips', values.clips, 1),
    workers: parseCount('workers', values.workers, 1),
    jobs: parseCount('jobs', values.jobs, 1),
    waitMs: parseCount('wait-ms', values['wait-ms'], 1),
    seed: parseCount('seed', values.seed, 0),
  });
  const text = [machine(), '', ...datasetTables(figures).map(toMarkdown)].join('\n');
  console.log(values.json ? JSON.stringify({ machine: machine(), ...figures }, null, 2) : text);
  if (values.write) writeResults('dataset', text);
}

interface Wanted extends Pick<DatasetFigures, 'rows' | 'clips' | 'workers' | 'waitMs'> {
  readonly jobs: number;
  readonly seed: number;
}

async function measure({ jobs, seed, ...wanted }: Wanted): Promise<DatasetFigures> {
  const { rows, clips, workers, waitMs } = wanted;
  const load = loadavg()[0]!;
  const stage = new Stage();
  try {
    await stage.open();
    say(`making ${clips} clips`);
    const dataset = await makeDataset(stage.videos, { rows, clips, seed });
    say(`answering ${rows} rows`);
    await stage.startWorkers(workers);
    const cold = await runDataset(stage, 'cold', dataset);
    const redis = await useOfRedis(stage);
    say('again, with the videos encoded');
    await stage.stopWorkers(); // The model processes hold the last videos prefilled.
    await forgetAnswers(stage);
    await stage.startWorkers(workers);
    const warm = await runDataset(stage, 'warm', dataset);
    await stage.stopWorkers();
    say('jobs that compute nothing');
    const cost = await measureQueueCost(stage, jobs);
    const speedUps = await measureSpeedUp(stage, [1, 2, 4], { jobsAWorker: 50, waitMs });
    return { ...wanted, load, cores: availableParallelism(), cold, warm, redis, cost, speedUps };
  } finally {
    await stage.close();
  }
}

function say(text: string): void {
  console.error(`bench:dataset: ${text}`);
}

await main();
