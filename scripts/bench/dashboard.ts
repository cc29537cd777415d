import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { median, ms, type Table } from './table.js';

const entry = fileURLToPath(new URL('dashboard-child.js', import.meta.url));

export interface DashboardBench {
  /** Folder of the private Redis that holds the jobs. */
  readonly home: string;
  readonly prefix: string;
  readonly queue: string;
  readonly jobs: number;
  /** Requests of each kind. */
  readonly runs: number;
}

const requests: readonly (readonly [string, string])[] = [
  ['list, the newest 50', 'jobs'],
  ['list, 50 from the middle', 'jobs?offset=50000'],
  ['list, the slowest 50', 'jobs?order=slowest'],
  ['search, a rare word', 'jobs?text=zeppelin'],
  ['search, a common word', 'jobs?text=what'],
  ['search, three words', 'jobs?text=goalkeeper+red+kite'],
  ['search, no such word', 'jobs?text=xylophone'],
  ['failed jobs of one run', 'jobs?state=failed&dataset=night-2'],
  ['errors by their class', 'errors'],
  ['what there is to filter by', 'facets'],
  ['overview of an hour', 'overview?hours=1'],
  ['overview of a day', 'overview?hours=24'],
];

/** Starts the dashboard on a queue that is full already, and measures how soon and how well it knows it. */
export async function benchDashboard(bench: DashboardBench): Promise<Table> {
  const started = performance.now();
  const { child, url } = await startDashboard(bench);
  try {
    const firstMs = await once200(url, started);
    const completeMs = await untilComplete(url, started);
    const cpuSeconds = cpuSecondsOf(child);
    const rows: string[][] = [];
    for (const [what, path] of requests) {
      // The overview is made once for all who ask within 300 ms.
      const before = cpuSecondsOf(child);
      const times = await timesOf(`${url}api/${path}`, bench.runs, path.startsWith('overview') ? 310 : 0);
      const ofACore = (1000 * (cpuSecondsOf(child) - before)) / bench.runs;
      rows.push([what, ...[median(times), at(times, 0.99), ofACore].map(ms)]);
    }
    const [rss, peak] = ['VmRSS', 'VmHWM'].map((name) => mebibytesOf(child, name));
    const load = loadavg()[0]!.toFixed(0);
    const count = bench.jobs.toLocaleString('en');
    return {
      title: `${count} jobs`,
      about:
        `The first answer came ${seconds(firstMs)} after the process was started, and all jobs were read after ${seconds(completeMs)}, of which it used ${cpuSeconds.toFixed(1)} s of a core. ` +
        `After all requests it held ${rss} MiB, at most ${peak} MiB. ${bench.runs} requests of each kind, in milliseconds; the last column is what the process used of a core for one, whatever else the machine did (load ${load}).`,
      columns: ['request', 'median', 'p99', 'of a core'],
      rows,
    };
  } finally {
    child.kill();
    await once(child, 'exit');
  }
}

async function startDashboard({
  home,
  prefix,
  queue,
}: DashboardBench): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [entry, home, prefix, queue], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = await once(child.stdout, 'data');
  return { child, url: String(line).trim() };
}

async function once200(url: string, started: number): Promise<number> {
  const response = await fetch(`${url}api/jobs?limit=1`);
  if (!response.ok) throw new Error(`the dashboard answered ${response.status} ${await response.text()}`);
  await response.text();
  return performance.now() - started;
}

async function untilComplete(url: string, started: number): Promise<number> {
  for (;;) {
    const { index } = (await (await fetch(`${url}api/jobs?limit=1`)).json()) as {
      index: { isComplete: boolean };
    };
    if (index.isComplete) return performance.now() - started;
    await pause(50);
  }
}

async function timesOf(url: string, runs: number, pauseMs: number): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < runs; run += 1) {
    await pause(pauseMs);
    const started = performance.now();
    const response = await fetch(url);
    await response.arrayBuffer();
    times.push(performance.now() - started);
    if (!response.ok) throw new Error(`${url} answered ${response.status}`);
  }
  return times;
}

function at(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** What a process has used so far; Linux counts in hundredths of a second. */
function cpuSecondsOf({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

function mebibytesOf({ pid }: ChildProcess, name: string): number {
  const kibibytes = new RegExp(`${name}:\\s+(\\d+)`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kibibytes) / 1024);
}
