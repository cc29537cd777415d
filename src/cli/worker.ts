import type { Command } from 'commander';
import { InputError } from '../errors.js';
import { settings } from './connect.js';
import { usageError } from './exit.js';
import { settingOption } from './options.js';
import { addCommonOptions, type Context, command } from './run.js';

interface WorkerOptions {
  readonly metricsPort?: number | null;
}

export function addWorker(program: Command): void {
  const worker = program
    .command('worker')
    .summary('answer the jobs of the queue')
    .description(
      'Takes jobs from the queue and answers them until it is told to stop. SIGTERM or Ctrl-C lets running jobs ' +
        'finish; a second one ends it at once. It is configured by the environment: see the settings.',
    )
    .option(
      '--metrics-port <n>',
      'serve /metrics for Prometheus, /healthz and /readyz there; 0 takes a free port (default: VISIONZIP_METRICS_PORT)',
      settingOption('VISIONZIP_METRICS_PORT'),
    );
  const examples = ['worker', 'worker --metrics-port 9464'];
  addCommonOptions(worker, [...examples, 'worker & visionzip enqueue clip.mp4 "What moves?" --wait']).action(
    command(runTheWorker, { handlesSignals: false }),
  );
}

async function runTheWorker(context: Context, { metricsPort }: WorkerOptions): Promise<void> {
  const configured = settings();
  const metrics = { ...configured.metrics, port: metricsPort ?? configured.metrics.port };
  const { runWorker } = await import('../workers/worker.js');
  await runWorker({ ...configured, metrics }).catch((error: unknown) => {
    throw error instanceof InputError ? usageError(error.message) : error;
  });
  context.document({ stopped: true });
}
