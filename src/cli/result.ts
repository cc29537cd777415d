import type { Command } from 'commander';
import type { QueueClient } from '../../queues/client.js';
import type { ResultDocument } from '../../queues/schemas.js';
import { withQueue } from './connect.js';
import { CliError, exitCodes, usageError } from './exit.js';
import { decimal } from './options.js';
import { reportDocument } from './report.js';
import { addCommonOptions, type Context, command } from './run.js';
import { isTimeout, unknownJob, waitAndReport } from './wait.js';

interface ResultOptions {
  readonly wait?: boolean;
  readonly timeout?: number;
}

export function addResult(program: Command): void {
  const result = program
    .command('result')
    .summary('print the answers of a job')
    .description('Prints how a job of the queue ended; with --json the whole document, as `ask --json` does.')
    .argument('<id>', 'what `enqueue` printed')
    .option('--wait', 'wait until the job has finished')
    .option('--timeout <seconds>', 'with --wait: give up after this time; the job goes on', decimal);
  addCommonOptions(result, ['result clip-count', 'result clip-count --wait --timeout 60 --json']).action(
    command(runResult),
  );
}

async function runResult(context: Context, id: string, options: ResultOptions) {
  if (options.timeout !== undefined && !options.wait) throw usageError('--timeout goes with --wait');
  return withQueue(async (client) => {
    if (options.wait) return waitAndReport(client, id, context, { timeoutSeconds: options.timeout });
    return reportDocument(await finishedDocument(client, id), context);
  });
}

/** A moment's wait tells a job that is under way from one that does not exist. */
async function finishedDocument(client: QueueClient, id: string): Promise<ResultDocument> {
  try {
    return await client.wait(id, { timeoutMs: 1_000 });
  } catch (error) {
    if (error instanceof RangeError) throw unknownJob(id);
    if (!isTimeout(error)) throw error;
    throw new CliError(exitCodes.cancelled, `the job ${id} is not finished yet; --wait waits for it`);
  }
}
