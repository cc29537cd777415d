import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/*
 * Compiles the programs in examples/ and the TypeScript of all documentation against what the package exports, into
 * .cache/examples. `--file` names the documents to take instead, and may be repeated. Exits 1 where one does not compile.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
const fences = join(root, '.cache/fences');
const { values } = parseArgs({ options: { file: { type: 'string', multiple: true } } });

rmSync(fences, { recursive: true, force: true });
mkdirSync(fences, { recursive: true });
const files = values.file ?? ['.', 'docs', 'examples', 'queues'].flatMap(documentsIn);
const count = files.reduce((sum, file) => sum + writeFences(file), 0);

const compiler = join(root, 'node_modules/typescript/bin/tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', 'examples'], { cwd: root, stdio: 'inherit' });
if (status === 0) console.log(`The examples compile, and so do ${count} in the documentation.`);
else process.exitCode = 1;

function documentsIn(folder: string): string[] {
  const path = join(root, folder);
  return readdirSync(path)
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(path, name));
}

/** Writes each fence to a module of its own. @returns how many there are. */
function writeFences(file: string): number {
  const text = readFileSync(file, 'utf8');
  const found = [...text.matchAll(/^```(?:ts|typescript)\n([\s\S]*?)^```$/gm)];
  const name = file.startsWith(root) ? file.slice(root.length).replaceAll('/', '.') : basename(file);
  found.forEach((fence, i) => {
    // Blank lines before it, so that the compiler names the lines of the document.
    const before = text.slice(0, fence.index).split('\n').length;
    writeFileSync(join(fences, `${name}.${i + 1}.ts`), `${'\n'.repeat(before)}${fence[1]}\nexport {};\n`);
  });
  return found.length;
}
