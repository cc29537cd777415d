#!/usr/bin/env node
import { runProgram } from './program.js';

// Whoever reads the output may stop before its end, as `| head` does. A running command hears of it too, and stops.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

await runProgram(process.argv.slice(2));
