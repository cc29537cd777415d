import { execFile, spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from './media.js';

const script = fileURLToPath(new URL('../dist/scripts/demo.js', import.meta.url));
const folder = temporaryFolder();

/** Starts the demo with a temporary folder of its own. */
function start(name: string) {
  const TMPDIR = join(folder, name);
  mkdirSync(TMPDIR);
  const child = spawn(process.execPath, [script], {
    env: { ...process.env, TMPDIR, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  const ended = once(child, 'close').then(([code]) => ({ code, stdout }));
  return { child, ended, folder: TMPDIR };
}

/** What names the folder on its command line: servers, workers, decoders. */
async function processesOf(name: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-eo', 'args=']);
  return stdout.split('\n').filter((line) => line.includes(name));
}

describe('npm run demo', () => {
  it('shows answers beside the truth, tokens and timings, and removes everything', async () => {
    const demo = start('whole');
    const { code, stdout } = await demo.ended;
    expect(code).toBe(0);
    const marks = stdout.match(/[✓✗]/g) ?? [];
    const right = marks.filter((mark) => mark === '✓').length;
    expect(marks.length).toBeGreaterThanOrEqual(4);
    expect(stdout).toContain(`${right} of ${marks.length} answers are right.`);
    expect(stdout).toMatch(/tokens {2}\d+ → \d+/);
    expect(stdout).toContain('where the time went');
    expect(stdout).toContain('answered from what was stored');
    expect(readdirSync(demo.folder)).toEqual([]);
    expect(await processesOf(demo.folder)).toEqual([]);
  });

  it('removes everything on Ctrl-C too', async () => {
    const demo = start('interrupted');
    for await (const [chunk] of on(demo.child.stdout, 'data')) {
      if (String(chunk).includes('started a worker')) break;
    }
    demo.child.kill('SIGINT');
    expect((await demo.ended).code).toBe(130);
    expect(readdirSync(demo.folder)).toEqual([]);
    expect(await processesOf(demo.folder)).toEqual([]);
  });
});
