import type { QueueClient } from '../../queues/client.js';
import type { AskJob, ResultDocument } from '../../queues/schemas.js';
import { type AnswerRows, answerRows } from '../batch/answer-rows.js';
import type { Ask } from '../batch/run.js';
import { RunCounts } from '../batch/run-counts.js';
import { type BatchOptions, dispatchOf } from './batch-options.js';
import { type RunAbout, withRecord } from './batch-record.js';
import { withQueue } from './connect.js';
import { failureOf, type LocalModel, withLocalModel } from './local-model.js';
import { tellOfShippedModel } from './notice.js';
import { buildJob, type JobSettings, jobSettings } from './options.js';
import type { Context } from './run.js';
import { tellWhenNobodyWorks } from './wait.js';

/** What a batch is made of before it is known where its rows go. */
export interface Asked extends Pick<AnswerRows, 'file' | 'layout' | 'survey' | 'again' | 'locate'> {
  /** The file of rows as the command line has it. */
  readonly given: string;
}

type Parts = Asked & Pick<AnswerRows, 'output' | 'tally'>;

/** Asks the rows that wait, and brings the output into order. Returns how many jobs it took. */
export async function askRows(
  parts: Parts,
  about: RunAbout,
  options: BatchOptions,
  context: Context,
): Promise<number> {
  const onDocument = options.debug && options.only ? tellDocument : undefined;
  const answer: Answer = async (how) => {
    const { given: _, ...rows } = parts;
    const settings = { ...how.settings, ...dispatchOf(options, about.run) };
    const jobs = await answerRows({ ...rows, ...how, onDocument, settings, build: buildJob });
    await parts.output.finish();
    return jobs;
  };
  parts.tally.begin();
  try {
    if (about.waiting > 0)
      return await (options.local
        ? locally(options, context.signal, answer)
        : throughTheQueue(parts, about, options, context, answer));
    await parts.output.finish();
    return 0;
  } finally {
    parts.tally.end();
  }
}

function tellDocument(job: AskJob, document: ResultDocument): void {
  process.stderr.write(`${JSON.stringify({ job, document }, null, 2)}\n`);
}

type How = Pick<AnswerRows, 'ask' | 'inFlight' | 'signal' | 'mayGoOn' | 'counts'> & {
  readonly settings: JobSettings;
};
type Answer = (how: How) => Promise<number>;

async function throughTheQueue(
  { given, tally }: Parts,
  about: RunAbout,
  options: BatchOptions,
  { signal }: Context,
  answer: Answer,
): Promise<number> {
  return withQueue(async (client) => {
    await tellWhenNobodyWorks(client);
    const { inFlight = 4 } = options;
    const settings = jobSettings(options);
    const ask: Ask = (...asked) => askQueue(client, ...asked);
    const counts = new RunCounts();
    return withRecord({ client, given, about, options, tally, counts, signal }, (recorded) =>
      answer({ ask, inFlight, settings, counts, ...recorded }),
    );
  });
}

async function askQueue(
  client: QueueClient,
  job: AskJob,
  signal: AbortSignal,
  onAnswer: (document: ResultDocument) => void,
): Promise<ResultDocument> {
  const id = await client.ask(job);
  try {
    return await client.wait(id, { signal, onAnswer });
  } catch (error) {
    // The job is this batch's own. Where it cannot be cancelled, because Redis has gone, it costs time and no more.
    if (signal.aborted) await client.cancel(id).catch(() => 'unknown');
    if (error instanceof RangeError) return failureOf('the job was removed from the queue', id);
    throw error;
  }
}

async function locally(options: BatchOptions, signal: AbortSignal, answer: Answer): Promise<number> {
  const { model: wanted, ...settings } = jobSettings(options);
  const { inFlight = 1 } = options;
  const lend = (model: LocalModel) => {
    tellOfShippedModel(model);
    const ask: Ask = (job, signal, onAnswer) =>
      model.document({ ...job, model: model.name }, { signal, onAnswer });
    return answer({ ask, settings, inFlight, signal });
  };
  return withLocalModel(wanted, lend, inFlight);
}
