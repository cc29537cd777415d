import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import { patientClient } from '../queues/connection.js';
import { ensureRedis, stopRedis } from '../src/workers/redis.js';
import { parseCount } from './arguments.js';
import { benchDashboard } from './bench/dashboard.js';
import { fillQueue } from './bench/dashboard-jobs.js';
import { machine, writeResults } from './bench/report.js';
import { toMarkdown } from './bench/table.js';

const usage = `Usage: npm run bench:dashboard -- [--jobs N] [--runs N] [--write]

Fills a Redis of its own with ended jobs, starts the dashboard, and measures how long it takes to know them all, its memory, and how
long lists, searches and the overview take. Linux alone. Two minutes on two cores.

  --jobs N   how many (default: 100,000)
  --runs N   requests of each kind (default: 100)
  --write    also replace the part of docs/results.md that this command made`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      jobs: { type: 'string', default: '100000' },
      runs: { type: 'string', default: '100' },
      write: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const [jobs, runs] = [parseCount('jobs', values.jobs, 1), parseCount('runs', values.runs, 1)];
  const home = mkdtempSync(join(tmpdir(), 'visionzip-bench-'));
  const place = { prefix: 'visionzip', queue: 'ask', jobs };
  const { connection } = await ensureRedis({ redis: null, home });
  const redis = patientClient(connection) as Redis;
  try {
    await fillQueue(redis, { ...place, now: Date.now() });
    const table = await benchDashboard({ ...place, home, runs });
    const text = [machine(), '', toMarkdown(table)].join('\n');
    console.log(text);
    if (values.write) writeResults('dashboard', text);
  } finally {
    redis.disconnect();
    await stopRedis({ redis: null, home });
    rmSync(home, { recursive: true });
  }
}

await main();
