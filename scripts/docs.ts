import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Command } from 'commander';
import { exitHelp } from '../src/cli/exit.js';
import { buildProgram } from '../src/cli/program.js';
import { settingsVariables } from '../src/settings.js';

/*
 * Writes what the code knows into the README: the text between `<!-- generated: NAME -->` and `<!-- /generated -->`
 * for the names `cli` and `settings`. `--check` writes nothing and exits 1 where the text is stale.
 */

const { values } = parseArgs({ options: { check: { type: 'boolean' }, file: { type: 'string' } } });
const file = values.file ?? fileURLToPath(new URL('../../README.md', import.meta.url));
const sections: Record<string, () => string> = { cli: commands, settings };

const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
const fresh = text.replace(
  /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- \/generated -->)/g,
  (_, open: string, name: string, close: string) => {
    const section = sections[name];
    if (!section) throw new Error(`${file} asks for "${name}"; there is ${Object.keys(sections).join(', ')}`);
    return `${open}\n${section()}\n\n${close}`;
  },
);

if (fresh === text) {
  console.log('The generated documentation is up to date.');
} else if (values.check) {
  console.error(`${file} is stale: node dist/scripts/docs.js`);
  process.exitCode = 1;
} else {
  writeFileSync(file, fresh);
  console.log(`Wrote ${file}.`);
}

/** A table of the commands, the exit codes that they share, then the help of each, folded up. */
function commands(): string {
  const all = leavesOf(buildProgram(), '');
  const rows = all.map(({ name, command }) => [`\`${name}\``, command.summary()]);
  const exitCodes = `\`\`\`\n${exitHelp}\n\`\`\``;
  return [table(['command', 'what it does'], rows), exitCodes, ...all.map(folded)].join('\n\n');
}

interface Named {
  readonly name: string;
  readonly command: Command;
}

/** The commands that do something: `model pull`, but not `model`. */
function leavesOf(command: Command, parents: string): Named[] {
  const name = `${parents}${command.name()}`;
  if (command.commands.length === 0) return [{ name, command }];
  return command.commands.flatMap((child) => leavesOf(child, `${name} `));
}

function folded({ name, command }: Named): string {
  return `<details><summary><code>${name} --help</code></summary>\n\n\`\`\`\n${helpOf(command)}\n\`\`\`\n\n</details>`;
}

/** The help as a terminal of 100 columns shows it, but for the exit codes. */
function helpOf(command: Command): string {
  let help = '';
  command.configureOutput({
    writeOut: (part) => {
      help += part;
    },
    getOutHelpWidth: () => 100,
    getOutHasColors: () => false,
  });
  command.outputHelp();
  return help.replace(exitHelp, '').trimEnd();
}

function settings(): string {
  const rows = settingsVariables.map(({ name, meaning, default: fallback }) => [
    `\`${name}\``,
    meaning,
    fallback,
  ]);
  return table(['variable', 'meaning', 'default'], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}
