// Compiles src, queues and scripts into dist, and leaves the command line executable. Plain JavaScript, since
// it runs before anything is compiled; `npm ci` calls it through `prepare`.
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

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

// The dashboard's pages: checked, and put together into one script and one style sheet.
const pages = `${root}src/dashboard/web`;
const assets = `${root}dist/src/dashboard/assets`;
const checked = spawnSync(process.execPath, [compiler, '-p', pages], { stdio: ['ignore', 2, 2] });
if (checked.status !== 0) process.exit(checked.status ?? 1);
await build({
  entryPoints: [
    { in: `${pages}/main.tsx`, out: 'app' },
    { in: `${pages}/styles/app.css`, out: 'app' },
  ],
  outdir: assets,
  bundle: true,
  minify: true,
  format: 'esm',
  target: ['es2022', 'chrome123', 'firefox121', 'safari17.5'],
  jsx: 'automatic',
  jsxImportSource: 'preact',
  tsconfigRaw: {},
  logLevel: 'warning',
});
for (const name of ['index.html', 'favicon.svg']) copyFileSync(`${pages}/${name}`, `${assets}/${name}`);
// What is in the script besides our own code is under licences that want to be passed on with it.
const licences = ['preact', 'uplot'].map(
  (name) => `${name}\n\n${readFileSync(`${root}node_modules/${name}/LICENSE`, 'utf8')}`,
);
writeFileSync(`${assets}/licenses.txt`, licences.join('\n\n'));
