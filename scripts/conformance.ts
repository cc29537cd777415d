import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runCase } from './reference-case.js';

const usage = `Usage: npm run --silent conformance -- FOLDER

Runs every case below FOLDER and prints a line a case:
  name maxAbsError=… dominant=exact|differs
Exit code: 0 when all agree, 1 when an error is above 1e-5, an index differs or a case cannot be read, 2 for
wrong usage.`;

const tolerance = 1e-5;

function main(): number {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h' } },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const [root] = positionals;
  if (!root || positionals.length > 1) {
    console.error(usage);
    return 2;
  }
  const names = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  if (names.length === 0) throw new Error(`${root} holds no case folders`);
  let agreed = true;
  for (const name of names) {
    try {
      const { maxAbsError, exact } = runCase(join(root, name));
      console.log(
        `${name} maxAbsError=${maxAbsError.toExponential(2)} dominant=${exact ? 'exact' : 'differs'}`,
      );
      agreed &&= exact && maxAbsError <= tolerance;
    } catch (error) {
      console.error(`conformance: ${name} is no case: ${(error as Error).message}`);
      agreed = false;
    }
  }
  return agreed ? 0 : 1;
}

try {
  process.exitCode = main();
} catch (error) {
  console.error(`conformance: ${(error as Error).message}`);
  process.exitCode = 2;
}
