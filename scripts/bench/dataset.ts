import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { DatasetRow } from '../dataset-rows.js';
import { documentOf, type Running, type Stage } from '../stage.js';
import { type Resident, residentOf } from './resident.js';

/** How often is looked who takes how much memory, in milliseconds. */
const lookMs = 500;
/** When the first look counts: everything is loaded then. */
const startShare = 0.05;

export interface DatasetRun {
  readonly rows: number;
  readonly jobs: number;
  readonly seconds: number;
  readonly rowsPerMinute: number;
  /** Of the jobs' own time, and of the whole time of all workers. */
  readonly outsideOnnx: { readonly ofJobs: number; readonly ofWorkers: number };
  readonly accuracy: number;
  readonly memory: readonly { readonly name: string; readonly startMiB: number; readonly endMiB: number }[];
}

/** Answers all rows by `visionzip batch` through the workers of the stage, from the start of the command to its end. */
export async function runDataset(
  stage: Stage,
  name: string,
  rows: readonly DatasetRow[],
): Promise<DatasetRun> {
  const [file, out] = [join(stage.root, `${name}.jsonl`), join(stage.root, `${name}-answers.jsonl`)];
  writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const inFlight = String(2 * stage.workers.length);
  const started = performance.now();
  const batch = stage.command([
    ...['batch', file, '--out', out, '--run-id', name, '--in-flight', inFlight, '--json'],
  ]);
  const [memory, document] = await Promise.all([
    watchMemory(stage, batch, name, rows.length),
    documentOf(batch),
  ]);
  const seconds = (performance.now() - started) / 1000;
  const times = jobTimes(out);
  const onnxMs = sum(times.map((time) => time.onnxMs));
  return {
    ...{ rows: rows.length, jobs: Number(document.jobs), seconds },
    rowsPerMinute: (rows.length * 60) / seconds,
    outsideOnnx: {
      ofJobs: 1 - onnxMs / sum(times.map((time) => time.totalMs)),
      ofWorkers: 1 - onnxMs / (seconds * 1000 * stage.workers.length),
    },
    accuracy: Number(document.accuracy),
    memory,
  };
}

async function watchMemory(
  stage: Stage,
  { child }: Running,
  id: string,
  rows: number,
): Promise<DatasetRun['memory']> {
  let start: Resident | null = null;
  let end: Resident | null = null;
  while (child.exitCode === null) {
    const record = await stage.client.run(id);
    const seen = await residentOf(stage.workers, child.pid!);
    if (child.exitCode !== null) break;
    if (record && record.done >= startShare * rows) start ??= seen;
    end = seen;
    await pause(lookMs);
  }
  if (!start || !end) throw new Error('the batch was over before anything was seen of it: ask more rows');
  const [first, last] = [start, end];
  return [...last].map(([name, endMiB]) => ({ name, startMiB: first.get(name) ?? Number.NaN, endMiB }));
}

interface JobTime {
  readonly totalMs: number;
  readonly onnxMs: number;
}

/** Rows of a job say what it had taken when they were answered: the last one says all. */
function jobTimes(out: string): JobTime[] {
  const times = new Map<string, JobTime>();
  for (const line of readFileSync(out, 'utf8').trimEnd().split('\n')) {
    const { job, timings } = (JSON.parse(line) as { run: { job: string; timings: JobTime } }).run;
    if (timings.totalMs > (times.get(job)?.totalMs ?? 0)) times.set(job, timings);
  }
  return [...times.values()];
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
