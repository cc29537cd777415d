#!/usr/bin/env node
import { runProgram } from './program.js';

// Whoever reads may stop before the end, as `| head` does. A running command hears of it where it is the output that nobody
// reads, and stops; where it is what it tells beside it, it goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

await runProgram(process.argv.slice(2));
