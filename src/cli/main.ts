#!/usr/bin/env node
import { CommanderError } from 'commander';
import { exitCodes, usageError } from './exit.js';
import { buildProgram } from './program.js';
import { failBeforehand } from './run.js';

// Whoever reads the output may stop before its end, as `| head` does. A running command hears of it too, and stops.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  await buildProgram().parseAsync();
} catch (error) {
  const argv = process.argv.slice(2);
  if (!(error instanceof CommanderError)) failBeforehand(error, argv);
  else if (error.exitCode === 0) process.exitCode = exitCodes.ok;
  else if (error.code === 'commander.help') process.exitCode = exitCodes.usage;
  else failBeforehand(usageError(error.message.replace(/^error: /, '')), argv);
}
