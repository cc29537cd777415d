import type { Command } from 'commander';
import type { CancelOutcome } from '../../queues/client.js';
import { withQueue } from './connect.js';
import { addCommonOptions, type Context, command } from './run.js';
import { unknownJob } from './wait.js';

export function addCancel(program: Command): void {
  const cancel = program
    .command('cancel')
    .summary('stop a job')
    .description('Stops a job: one that waits is removed, one that runs is asked to stop.')
    .argument('<id>', 'what `enqueue` printed');
  addCommonOptions(cancel, ['cancel clip-count']).action(command(runCancel));
}

const sentences: Record<Exclude<CancelOutcome, 'unknown'>, string> = {
  cancelled: 'the job was cancelled',
  requested: 'the job is running and was asked to stop',
  finished: 'the job had finished before',
};

async function runCancel(context: Context, id: string): Promise<void> {
  await withQueue(async (client) => {
    const outcome = await client.cancel(id);
    if (outcome === 'unknown') throw unknownJob(id);
    context.document({ id, outcome });
    if (!context.json) process.stdout.write(`${sentences[outcome]}\n`);
  });
}
