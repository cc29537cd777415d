import { Command, CommanderError } from 'commander';
import { packageVersion } from '../models/shipped.js';
import { addAsk } from './ask.js';
import { addBatch } from './batch.js';
import { addReport } from './batch-report.js';
import { addCancel } from './cancel.js';
import { addChat } from './chat.js';
import { addDashboard } from './dashboard.js';
import { addEnqueue } from './enqueue.js';
import { exitCodes, exitHelp, usageError } from './exit.js';
import { addModel } from './model.js';
import { addPlan } from './plan.js';
import { addRedis } from './redis.js';
import { addResult } from './result.js';
import { failBeforehand } from './run.js';
import { addRuns } from './runs.js';
import { addStatus } from './status.js';
import { addStore } from './store.js';
import { refuseDashedFiles } from './videos.js';
import { addWorker } from './worker.js';

/** The whole command line. Usage errors are thrown as CommanderError and printed by whoever parses. */
export function buildProgram(): Command {
  const program = new Command('visionzip')
    .description('Answers questions about video: on the spot, or through a queue.')
    .version(packageVersion())
    .addHelpText('after', `\n${exitHelp}`)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  addAsk(program);
  addChat(program);
  addPlan(program);
  addEnqueue(program);
  addResult(program);
  addCancel(program);
  addStatus(program);
  addBatch(program);
  addRuns(program);
  addReport(program);
  addWorker(program);
  addModel(program);
  addRedis(program);
  addStore(program);
  addDashboard(program);
  return program;
}

/** Runs one command line, and sets the exit code of this process. */
export async function runProgram(argv: readonly string[]): Promise<void> {
  try {
    refuseDashedFiles(argv);
    await buildProgram().parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) failBeforehand(error, argv);
    else if (error.exitCode === 0) process.exitCode = exitCodes.ok;
    else if (error.code === 'commander.help') process.exitCode = exitCodes.usage;
    else failBeforehand(usageError(error.message.replace(/^error: /, '')), argv);
  }
}
