/** Kills workers, model processes and Redis under load, and checks that every job ends once and rightly. */
import { parseArgs } from 'node:util';
import { CliError, exitCodes } from '../src/cli/exit.js';
import { parseCount } from './arguments.js';
import { describeReport } from './chaos/report.js';
import { runChaos } from './chaos/run.js';

const usage = `Usage: npm run chaos -- [--jobs N] [--kills N] [--workers N] [--seed S] [--json]

Asks questions about clips made from the seed, first undisturbed, then through a queue of its own, and meanwhile kills workers,
their model processes and the private Redis server at random, freezes one worker past its lock, and cancels some jobs.
Then every job must have ended in exactly one document, every answer must be that of the undisturbed run, and no process,
temporary file or key without expiry may be left. Prints how soon jobs came back, and jobs a second.

  --jobs N     jobs, of which some name a file that is no video (default: 100)
  --kills N    SIGKILLs: half of them workers, a quarter each model processes and Redis (default: 10)
  --workers N  worker processes, at least 2 (default: 2)
  --seed S     whole number (default: 0)
  --json       one JSON document instead of the lines

Exit code 1 where anything was violated; each violation is a line.`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      jobs: { type: 'string', default: '100' },
      kills: { type: 'string', default: '10' },
      workers: { type: 'string', default: '2' },
      seed: { type: 'string', default: '0' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  const options = {
    jobs: parseCount('jobs', values.jobs, 1),
    kills: parseCount('kills', values.kills, 0),
    workers: parseCount('workers', values.workers, 2),
    seed: parseCount('seed', values.seed, 0),
  };
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'])
    process.on(signal, () => interrupted.abort(new CliError(exitCodes.interrupted, 'interrupted')));
  const say = (text: string) => console.error(`chaos: ${text}`);
  const { signal } = interrupted;
  const report = await runChaos(options, { signal, say }).catch((error: unknown) => {
    throw signal.aborted ? signal.reason : error; // Whatever it was in the middle of when it was interrupted.
  });
  console.log(values.json ? JSON.stringify(report, null, 2) : describeReport(report));
  if (report.violations.length > 0) process.exitCode = exitCodes.failed;
}

main().catch((error: Error) => {
  console.error(`chaos: ${error.message}`);
  process.exitCode = error instanceof CliError ? error.exitCode : exitCodes.failed;
});
