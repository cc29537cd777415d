import type { Command } from 'commander';
import type { QueueClient } from '../../queues/client.js';
import type { AskJob } from '../../queues/schemas.js';
import { withQueue } from './connect.js';
import { type ExitCode, exitCodes, usageError } from './exit.js';
import { followAndReport } from './follow.js';
import {
  addChoiceOption,
  addJobOptions,
  buildJob,
  decimal,
  type JobOptions,
  jobSettings,
  withOptions,
} from './options.js';
import { reportEach } from './report.js';
import { addCommonOptions, type Context, command } from './run.js';
import { splitVideos, videosHelp } from './videos.js';
import { waitAndReport } from './wait.js';

interface EnqueueOptions extends JobOptions {
  readonly option?: string[];
  readonly id?: string;
  readonly wait?: boolean;
  readonly follow?: boolean;
  readonly timeout?: number;
}

export function addEnqueue(program: Command): void {
  const enqueue = program
    .command('enqueue')
    .summary('put questions about videos into the queue')
    .description(
      'Puts a job for each video into the queue and prints its id. A worker answers it: see `visionzip worker`. ' +
        `${videosHelp} With --json, several videos are a document each on a line of its own.`,
    )
    .usage('[options] <video...> <question...>')
    .argument('<video>', "a file below one of the worker's video folders; more may follow")
    .argument('<question...>', 'one or several questions; a video is encoded once for all of them');
  addChoiceOption(addJobOptions(enqueue, "a model's name below the worker's models folder"))
    .option('--id <id>', 'an id of your own, for one video: the same job is then enqueued once only')
    .option('--wait', 'wait for the answer and print it; the id goes to standard error at once')
    .option('--follow', 'the same, but print the answer as it is generated; with --json an event a line')
    .option(
      '--timeout <seconds>',
      'with --wait or --follow: give up after this time; the job goes on',
      decimal,
    );
  addCommonOptions(enqueue, [
    'enqueue clip.mp4 "What colour is the circle?"',
    'enqueue clip.mp4 "What colour is the circle?" --wait --timeout 60',
    'enqueue clip.mp4 "What happens in this video?" --follow',
    'enqueue clip.mp4 "How many objects are there?" --id clip-count --json',
    'enqueue *.mp4 "How many objects are there?" > ids',
  ]).action(command(runEnqueue));
}

async function runEnqueue(context: Context, first: string, rest: string[], options: EnqueueOptions) {
  const { id, wait, follow, timeout } = options;
  const { videos, questions: texts } = splitVideos(first, rest);
  const questions = withOptions(texts, options.option);
  if (wait && follow) throw usageError('give --wait or --follow, not both');
  if (timeout !== undefined && !wait && !follow) throw usageError('--timeout goes with --wait or --follow');
  if (id !== undefined && videos.length > 1) throw usageError(`--id is for one video, got ${videos.length}`);
  const settings = jobSettings(options);
  const jobs = videos.map((video) => buildJob(video, questions, settings));
  return withQueue(async (client) => {
    const ids: string[] = [];
    for (const job of jobs)
      ids.push(tellId(await enqueue(client, job, id), job, context, options, jobs.length));
    if (!wait && !follow) return exitCodes.ok;
    const report = (i: number, video?: string): Promise<ExitCode> => {
      const how = { timeoutSeconds: timeout, video };
      if (follow) return followAndReport(client, ids[i]!, context, { ...how, questions });
      return waitAndReport(client, ids[i]!, context, how);
    };
    if (jobs.length === 1) return report(0);
    return reportEach(videos, context, (_, i) => report(i, jobs[i]!.video));
  });
}

/** Whoever waits is told at once as well: the id is what finds the job again after Ctrl-C. */
function tellId(
  id: string,
  job: AskJob,
  context: Context,
  { wait, follow }: EnqueueOptions,
  jobs: number,
): string {
  if (wait || follow) process.stderr.write(`visionzip: enqueued ${id}\n`);
  else if (!context.json) process.stdout.write(`${id}\n`);
  else if (jobs === 1) context.document({ id });
  else context.line({ id, video: { path: job.video } });
  return id;
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
