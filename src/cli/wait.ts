import type { QueueClient } from '../../queues/client.js';
import { CliError, type ExitCode, exitCodes } from './exit.js';
import { createProgressBar } from './progress.js';
import { type ReportOptions, reportDocument } from './report.js';
import type { Context } from './run.js';

/** Waits for a job, with a progress bar on a terminal, and prints how it ended. */
export async function waitAndReport(
  client: QueueClient,
  id: string,
  context: Context,
  { timeoutSeconds, video }: ReportOptions & { readonly timeoutSeconds?: number } = {},
): Promise<ExitCode> {
  await tellWhenNobodyWorks(client);
  const bar = createProgressBar();
  try {
    const document = await client.wait(id, {
      timeoutMs: timeoutSeconds === undefined ? undefined : timeoutSeconds * 1000,
      signal: context.signal,
      onProgress: (progress) => bar.update(progress),
    });
    bar.clear();
    return reportDocument(document, context, { video });
  } catch (error) {
    throw describeEnd(error, id, timeoutSeconds);
  } finally {
    bar.clear();
  }
}

/** A job that nobody takes would be waited for without a word. */
export async function tellWhenNobodyWorks(client: QueueClient): Promise<void> {
  const { workers, queue } = await client.status();
  if (workers === null || workers.length > 0) return;
  process.stderr.write(`visionzip: no worker listens to the queue "${queue}"; start one: visionzip worker\n`);
}

export function unknownJob(id: string): CliError {
  return new CliError(
    exitCodes.failed,
    `no job has the id ${JSON.stringify(id)}; results are kept for a limited time`,
  );
}

export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'TimeoutError';
}

export function describeEnd(error: unknown, id: string, timeoutSeconds: number | undefined): unknown {
  if (error instanceof Error && error.name === 'UnknownJobError') return unknownJob(id);
  if (!isTimeout(error)) return error;
  return new CliError(
    exitCodes.cancelled,
    `the job ${id} is not finished after ${timeoutSeconds} s; it goes on`,
  );
}
