import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from './media.js';

const script = fileURLToPath(new URL('../dist/scripts/docs.js', import.meta.url));
const folder = temporaryFolder();
const file = join(folder, 'README.md');

const docs = (...args: string[]) => promisify(execFile)(process.execPath, [script, '--file', file, ...args]);

describe('the generated documentation', () => {
  it('is written between its markers, and is stale once the text differs', async () => {
    const empty = ['commands', 'help', 'settings', 'formats']
      .map((name) => `before\n<!-- generated: ${name} -->\n<!-- /generated -->\nbehind\n`)
      .join('');
    writeFileSync(file, empty);
    await expect(docs('--check')).rejects.toMatchObject({ code: 1 });
    expect(readFileSync(file, 'utf8')).toBe(empty);

    await docs();
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('| `visionzip ask` |');
    expect(text).toContain('Usage: visionzip dashboard [options]');
    expect(text).toContain('| `VISIONZIP_HOME` |');
    expect(text).toMatch(/\| containers \| .*Matroska, WebM \(\.mkv, \.webm\)/);
    expect(text).toMatch(/\| video codecs \| H\.264, /);
    expect(text.replace(/(generated: \w+ -->\n)[\s\S]*?(<!-- \/)/g, '$1$2')).toBe(empty);
    await docs('--check');

    writeFileSync(file, text.replace('--save-frames', '--keep-frames'));
    await expect(docs('--check')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is stale'),
    });
  });

  it('of several files is stale where one of them is', async () => {
    const other = join(folder, 'other.md');
    writeFileSync(file, '<!-- generated: settings -->\n<!-- /generated -->\n');
    await docs();
    writeFileSync(other, 'nothing generated\n');
    await docs('--check', '--file', other);
    writeFileSync(other, '<!-- generated: formats -->\n<!-- /generated -->\n');
    await expect(docs('--check', '--file', other)).rejects.toMatchObject({
      code: 1,
      stderr: `${other} is stale: node dist/scripts/docs.js\n`,
    });
  });

  it('refuses a marker that it does not know', async () => {
    writeFileSync(file, '<!-- generated: weather -->\n<!-- /generated -->\n');
    await expect(docs()).rejects.toMatchObject({ stderr: expect.stringContaining('asks for "weather"') });
  });
});
