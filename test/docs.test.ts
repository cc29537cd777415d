import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from './media.js';

const script = fileURLToPath(new URL('../dist/scripts/docs.js', import.meta.url));
const file = join(temporaryFolder(), 'README.md');

const docs = (...args: string[]) => promisify(execFile)(process.execPath, [script, '--file', file, ...args]);

describe('the generated documentation', () => {
  it('is written between its markers, and is stale once the text differs', async () => {
    const empty =
      'a\n<!-- generated: cli -->\n<!-- /generated -->\nb\n<!-- generated: settings -->\n<!-- /generated -->\nc\n';
    writeFileSync(file, empty);
    await expect(docs('--check')).rejects.toMatchObject({ code: 1 });
    expect(readFileSync(file, 'utf8')).toBe(empty);

    await docs();
    const text = readFileSync(file, 'utf8');
    expect(text).toContain('| `visionzip ask` |');
    expect(text).toContain('Usage: visionzip dashboard [options]');
    expect(text).toContain('| `VISIONZIP_HOME` |');
    expect(text.replace(/(generated: \w+ -->\n)[\s\S]*?(<!-- \/)/g, '$1$2')).toBe(empty);
    await docs('--check');

    writeFileSync(file, text.replace('--save-frames', '--keep-frames'));
    await expect(docs('--check')).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('is stale'),
    });
  });

  it('refuses a marker that it does not know', async () => {
    writeFileSync(file, '<!-- generated: weather -->\n<!-- /generated -->\n');
    await expect(docs()).rejects.toMatchObject({ stderr: expect.stringContaining('asks for "weather"') });
  });
});
