#!/usr/bin/env node
import { exitCodes } from './exit.js';
import { runProgram } from './program.js';

// Whoever reads may stop before the end, as `| head` does, and a disk may be full. A running command hears of it where it is the output that
// cannot be written, and stops; where it is what it tells beside it, it goes on.
process.stderr.on('error', () => {});
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  const isHeard = process.stdout.listenerCount('error') > 1 || process.exitCode;
  if (error.code === 'EPIPE' || isHeard) return;
  process.exitCode = exitCodes.failed;
  process.stderr.write(`visionzip: cannot write the output: ${error.message}\n`);
});

await runProgram(process.argv.slice(2));
