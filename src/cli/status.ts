import Table from 'cli-table3';
import type { Command } from 'commander';
import type { WorkerAbout } from '../../queues/about.js';
import type { QueueStatus } from '../../queues/client.js';
import { plural } from '../format.js';
import { withQueue } from './connect.js';
import { addCommonOptions, type Context, command } from './run.js';

export function addStatus(program: Command): void {
  const status = program
    .command('status')
    .summary('how many jobs wait and run, and who works')
    .description('Prints the queue: jobs by state, the workers that listen, and the Redis server.');
  addCommonOptions(status, ['status', 'status --json']).action(command(runStatus));
}

async function runStatus(context: Context): Promise<void> {
  await withQueue(async (client) => {
    const status = await client.status();
    context.document(status);
    if (!context.json) process.stdout.write(`${describe(status)}\n`);
  });
}

function describe({ address, prefix, queue, counts, workers, redis }: QueueStatus): string {
  const table = new Table({ style: { head: [], border: [] } });
  const shown = Object.entries(counts).filter(([, count]) => count > 0);
  table.push(
    { queue: `${prefix}:${queue}` },
    {
      redis: `${redis.version} at ${address}, ${megabytes(redis.usedMemoryBytes)}${ofMaximum(redis.maxMemoryBytes)}`,
    },
    { jobs: shown.map(([state, count]) => `${count} ${state}`).join('\n') || 'none' },
    {
      workers:
        workers === null
          ? 'unknown: this server does not tell who is connected (CLIENT LIST)'
          : workers
              .map(
                ({ name, address, ageSeconds, about }) =>
                  `${name || address}, up ${ageSeconds} s${aboutWorker(about)}`,
              )
              .join('\n') || 'none',
    },
  );
  return table.toString();
}

function aboutWorker(about: WorkerAbout | null): string {
  if (about === null) return '';
  const jobs = `${plural(about.concurrency, 'job')} at a time`;
  return `, version ${about.version}, ${jobs}, sandbox: ${about.sandbox ?? 'none, so no video can be read'}`;
}

function ofMaximum(bytes: number): string {
  return bytes > 0 ? ` of ${megabytes(bytes)}` : '';
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
