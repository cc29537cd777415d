/** Kills workers, model processes and Redis under load, and checks that every job ends once and rightly. */
import { parseArgs } from 'node:util';
import { CliError, exitCodes } from '../src/cli/exit.js';
import { parseCount } from './arguments.js';
import { describeBatchChaos, runBatchChaos } from './chaos/batch.js';
import { describeReport } from './chaos/report.js';
import { runChaos } from './chaos/run.js';

const usage = `Usage: npm run chaos -- [--jobs N] [--kills N] [--workers N] [--seed S] [--json]
       npm run chaos -- --batch [--rows N] [--clips N] [--kills N] [--workers N] [--seed S] [--json]

Asks questions about clips made from the seed, first undisturbed, then through a queue of its own, and meanwhile kills workers,
their model processes and the private Redis server at random, freezes one worker past its lock, and cancels some jobs.
Then every job must have ended in exactly one document, every answer must be that of the undisturbed run, and no process,
temporary file or key without expiry may be left. Prints how soon jobs came back, and jobs a second.

  --jobs N     jobs, of which some name a file that is no video (default: 100)
  --kills N    SIGKILLs: half of them workers, a quarter each model processes and Redis (default: 10)
  --workers N  worker processes, at least 2 (default: 2)
  --seed S     whole number (default: 0)
  --json       one JSON document instead of the lines

With --batch it runs \`visionzip batch\` instead, in each format that it reads: once undisturbed, and once killed by SIGKILL at random moments
and run again each time. The finished files, but for \`run\` of each row, and the scores of \`visionzip report\` must be equal.

  --rows N     rows (default: 2,000)
  --clips N    clips that they ask about (default: 100)
  --kills N    SIGKILLs of each format's batch (default: 3)

Exit code 1 where anything was violated; each violation is a line.`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      jobs: { type: 'string', default: '100' },
      kills: { type: 'string' },
      batch: { type: 'boolean' },
      rows: { type: 'string', default: '2000' },
      clips: { type: 'string', default: '100' },
      workers: { type: 'string', default: '2' },
      seed: { type: 'string', default: '0' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const shared = {
    kills: parseCount('kills', values.kills ?? (values.batch ? '3' : '10'), 0),
    workers: parseCount('workers', values.workers, values.batch ? 1 : 2),
    seed: parseCount('seed', values.seed, 0),
  };
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => interrupted.abort(new CliError(exitCodes.interrupted, 'interrupted')));
  const say = (text: string) => console.error(`chaos: ${text}`);
  const { signal } = interrupted;
  const listeners = { signal, say };
  const run = values.batch
    ? runBatchChaos(
        {
          rows: parseCount('rows', values.rows, 200),
          clips: parseCount('clips', values.clips, 1),
          ...shared,
        },
        listeners,
      ).then((report) => ({ report, text: describeBatchChaos(report) }))
    : runChaos({ jobs: parseCount('jobs', values.jobs, 1), ...shared }, listeners).then((report) => ({
        ...{ report, text: describeReport(report) },
      }));
  const { report, text } = await run.catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error; // Whatever it was in the middle of when it was interrupted.
  });
  console.log(values.json ? JSON.stringify(report, null, 2) : text);
  if (report.violations.length > 0) process.exitCode = exitCodes.failed;
}

main().catch((error: Error) => {
  console.error(`chaos: ${error.message}`);
  process.exitCode = error instanceof CliError ? error.exitCode : exitCodes.failed;
});
