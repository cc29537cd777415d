import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addAsk } from './ask.js';
import { addBatch } from './batch.js';
import { addCancel } from './cancel.js';
import { addDashboard } from './dashboard.js';
import { addEnqueue } from './enqueue.js';
import { exitHelp } from './exit.js';
import { addModel } from './model.js';
import { addRedis } from './redis.js';
import { addResult } from './result.js';
import { addStatus } from './status.js';
import { addWorker } from './worker.js';

/** The whole command line. Usage errors are thrown as CommanderError and printed by whoever parses. */
export function buildProgram(): Command {
  const packageFile = new URL('../../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(packageFile, 'utf8'));
  const program = new Command('visionzip')
    .description('Answers questions about video: on the spot, or through a queue.')
    .version(version)
    .addHelpText('after', `\n${exitHelp}`)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  addAsk(program);
  addEnqueue(program);
  addResult(program);
  addCancel(program);
  addStatus(program);
  addBatch(program);
  addWorker(program);
  addModel(program);
  addRedis(program);
  addDashboard(program);
  return program;
}
