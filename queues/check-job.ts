import { JobRefusedError } from './errors.js';
import { describeFaults, faultOfJob } from './faults.js';
import { jobSizeLimitBytes } from './options.js';
import { type AskJob, type AskJobInput, askJobSchema } from './schemas.js';

/**
 * What a producer wrote as it lies in the queue.
 *
 * @param what how the job is called, such as "the job at 3"
 * @throws JobRefusedError
 */
export function checkJob(input: AskJobInput, what: string): AskJob {
  const parsed = askJobSchema.safeParse(input);
  if (!parsed.success) {
    const message = `${what} was refused: ${describeFaults(parsed.error)}`;
    throw new JobRefusedError(message, faultOfJob(parsed.error));
  }
  checkSize(parsed.data, what);
  return parsed.data;
}

/** BullMQ would refuse it as well, but by an error that nothing tells from a fault of the machine. */
function checkSize(job: AskJob, what: string): void {
  const bytes = Buffer.byteLength(JSON.stringify(job));
  const limit = jobSizeLimitBytes;
  if (bytes <= limit) return;
  throw new JobRefusedError(`${what} was refused: it has ${bytes} bytes, the limit is ${limit}`, 'question');
}
