// Compiles src, queues and scripts into dist, and leaves the command line executable. Plain JavaScript, since
// it runs before anything is compiled; `npm ci` calls it through `prepare`.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const compiler = fileURLToPath(new URL('../node_modules/typescript/bin/tsc', import.meta.url));

// What was compiled of files that are gone would go into the packages.
rmSync(`${root}dist`, { recursive: true, force: true });
const { status } = spawnSync(process.execPath, [compiler, '-p', root], { stdio: ['ignore', 2, 2] });
if (status !== 0) process.exit(status ?? 1);
chmodSync(fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url)), 0o755);

// What a producer installs, `visionzip-queue`, is packed from here: npm pack ./dist/queues
for (const name of ['package.json', 'README.md'])
  copyFileSync(`${root}queues/${name}`, `${root}dist/queues/${name}`);
copyFileSync(`${root}LICENSE`, `${root}dist/queues/LICENSE`);
