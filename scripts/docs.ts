import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Command } from 'commander';
import { exitHelp } from '../src/cli/exit.js';
import { buildProgram } from '../src/cli/program.js';
import { type Container, containers, pictureTitles, videoCodecs } from '../src/media/formats.js';
import { settingsVariables } from '../src/settings.js';

/*
 * Writes what the code knows into README.md, docs/cli.md and docs/settings.md: the text between
 * `<!-- generated: NAME -->` and `<!-- /generated -->`. `--check` writes nothing and exits 1 where a text is stale;
 * `--file` names another file, and may be repeated.
 */

const { values } = parseArgs({
  options: { check: { type: 'boolean' }, file: { type: 'string', multiple: true } },
});
const sections: Record<string, () => string> = { commands, help, settings, formats };
const files = values.file ?? ['README.md', 'docs/cli.md', 'docs/settings.md'].map(inProject);

const stale = files.filter((file) => bringUpToDate(file, values.check === true));
if (stale.length === 0) console.log('The generated documentation is up to date.');
else if (values.check) process.exitCode = 1;

function inProject(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** @returns whether the file was stale. */
function bringUpToDate(file: string, checkOnly: boolean): boolean {
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const fresh = generate(file, text);
  if (fresh === text) return false;
  if (checkOnly) {
    console.error(`${file} is stale: node dist/scripts/docs.js`);
  } else {
    writeFileSync(file, fresh);
    console.log(`Wrote ${file}.`);
  }
  return true;
}

function generate(file: string, text: string): string {
  return text.replace(
    /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- \/generated -->)/g,
    (_, open: string, name: string, close: string) => {
      const section = sections[name];
      if (!section)
        throw new Error(`${file} asks for "${name}"; there is ${Object.keys(sections).join(', ')}`);
      return `${open}\n${section()}\n\n${close}`;
    },
  );
}

/** A table of the commands, then the exit codes that they share. */
function commands(): string {
  const rows = leavesOf(buildProgram(), '').map(({ name, command }) => [`\`${name}\``, command.summary()]);
  return [table(['command', 'what it does'], rows), `\`\`\`\n${exitHelp}\n\`\`\``].join('\n\n');
}

/** The help of each command under a heading. */
function help(): string {
  return leavesOf(buildProgram(), '')
    .map(({ name, command }) => `## ${name}\n\n\`\`\`\n${helpOf(command)}\n\`\`\``)
    .join('\n\n');
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

/** Containers, codecs and pictures that are read. */
function formats(): string {
  const listed = (names: readonly string[]) => names.join(', ');
  const ofContainer = ({ title, extensions }: Container) =>
    `${title} (${listed(extensions.map((it) => `.${it}`))})`;
  return table(
    ['what', 'which'],
    [
      ['containers', listed(containers.map(ofContainer))],
      ['video codecs', listed(videoCodecs.map(({ title }) => title))],
      ['pictures', listed(pictureTitles)],
    ],
  );
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${'---|'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}
