import type { Command } from 'commander';
import { settings } from './connect.js';
import { addCommonOptions, type Context, command } from './run.js';

export function addWorker(program: Command): void {
  const worker = program
    .command('worker')
    .summary('answer the jobs of the queue')
    .description(
      'Takes jobs from the queue and answers them until it is told to stop. SIGTERM or Ctrl-C lets running jobs ' +
        'finish; a second one ends it at once. It is configured by the environment alone: see the settings.',
    );
  addCommonOptions(worker, ['worker', 'worker & visionzip enqueue clip.mp4 "What moves?" --wait']).action(
    command(runTheWorker, { handlesSignals: false }),
  );
}

async function runTheWorker(context: Context): Promise<void> {
  const { runWorker } = await import('../workers/worker.js');
  await runWorker(settings());
  context.document({ stopped: true });
}
