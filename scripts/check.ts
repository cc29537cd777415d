import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/*
 * All gates: format and lint, types (tests included), generated documentation, the examples and the documentation's
 * TypeScript, and the tests, which also hold the walls between the rooms. `--no-tests` leaves the last out.
 */

const { values } = parseArgs({ options: { 'no-tests': { type: 'boolean' } } });

const gates: [name: string, command: string, args: string[]][] = [
  ['format and lint', 'biome', ['ci', '--error-on-warnings', '.']],
  ['types', 'tsc', ['--noEmit', '-p', 'test']],
  ['types of the pages', 'tsc', ['-p', 'src/dashboard/web']],
  ['documentation', process.execPath, ['dist/scripts/docs.js', '--check']],
  ['examples', process.execPath, ['dist/scripts/examples.js']],
  ...(values['no-tests'] ? [] : [['tests', 'vitest', ['run']] as [string, string, string[]]]),
];

const root = fileURLToPath(new URL('../..', import.meta.url));
const failed = gates.filter(([name, command, args]) => {
  console.log(`check: ${name}`);
  const path = command.includes('/') ? command : `${root}node_modules/.bin/${command}`;
  return spawnSync(path, args, { cwd: root, stdio: 'inherit' }).status !== 0;
});

for (const [name] of failed) console.error(`check: ${name} failed`);
process.exitCode = failed.length > 0 ? 1 : 0;
