import type { Command } from 'commander';
import type { QueueClient } from '../../queues/client.js';
import type { AskJob } from '../../queues/schemas.js';
import { withQueue } from './connect.js';
import { usageError } from './exit.js';
import { addJobOptions, buildJob, decimal, type JobOptions, jobSettings } from './options.js';
import { addCommonOptions, type Context, command } from './run.js';
import { waitAndReport } from './wait.js';

interface EnqueueOptions extends JobOptions {
  readonly id?: string;
  readonly wait?: boolean;
  readonly timeout?: number;
}

export function addEnqueue(program: Command): void {
  const enqueue = program
    .command('enqueue')
    .summary('put questions about a video into the queue')
    .description('Puts a job into the queue and prints its id. A worker answers it: see `visionzip worker`.')
    .argument('<video>', "a file below one of the worker's video folders")
    .argument('<question...>', 'one or several questions; the video is encoded once');
  addJobOptions(enqueue, "a model's name below the worker's models folder")
    .option('--id <id>', 'an id of your own: the same job is then enqueued once only')
    .option('--wait', 'wait for the answer and print it')
    .option('--timeout <seconds>', 'with --wait: give up after this time; the job goes on', decimal);
  addCommonOptions(enqueue, [
    'enqueue clip.mp4 "What colour is the circle?"',
    'enqueue clip.mp4 "What colour is the circle?" --wait --timeout 60',
    'enqueue clip.mp4 "How many objects are there?" --id clip-count --json',
  ]).action(command(runEnqueue));
}

async function runEnqueue(context: Context, video: string, questions: string[], options: EnqueueOptions) {
  if (options.timeout !== undefined && !options.wait) throw usageError('--timeout goes with --wait');
  const job = buildJob(video, questions, jobSettings(options));
  return withQueue(async (client) => {
    const id = await enqueue(client, job, options.id);
    if (options.wait) return waitAndReport(client, id, context, options.timeout);
    context.document({ id });
    if (!context.json) process.stdout.write(`${id}\n`);
    return undefined;
  });
}

/** What the client refuses is wrong on the command line; anything else is not. */
async function enqueue(client: QueueClient, job: AskJob, id: string | undefined): Promise<string> {
  try {
    return await client.ask(job, { id });
  } catch (error) {
    const isRefused = error instanceof Error && /^Job(Refused|Conflict)Error$/.test(error.name);
    throw isRefused ? usageError(error.message) : error;
  }
}
