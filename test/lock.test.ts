import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

const lock = new URL('../dist/src/workers/lock.js', import.meta.url);
const [processes, rounds, roundMs] = [6, 60, 25];
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'visionzip-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** All processes begin each round at the same moment; whoever holds the lock makes a file that nobody else may have made. */
const script = `
  import { closeSync, openSync, unlinkSync } from 'node:fs';
  import promises from 'node:fs/promises';
  import { syncBuiltinESMExports } from 'node:module';
  import { setTimeout as pause } from 'node:timers/promises';
  // What was read is old by the time that somebody acts on it.
  const { readFile } = promises;
  promises.readFile = async (...args) => {
    const text = await readFile(...args);
    await pause(Math.random() * 6);
    return text;
  };
  syncBuiltinESMExports();
  const { withLock } = await import('${lock}');
  const [dir, start] = process.argv.slice(1);
  for (let round = 0; round < ${rounds}; round++) {
    while (Date.now() < Number(start) + round * ${roundMs});
    await withLock(dir + '/lock-' + round, 30000, async () => {
      closeSync(openSync(dir + '/held-' + round, 'wx'));
      await pause(1);
      unlinkSync(dir + '/held-' + round);
    });
  }`;

it.each([
  ['a lock', ''],
  ['a lock that a process was taking over when it died', '.over'],
])('%s that is left by a dead process is held by one process at a time', async (_, also) => {
  for (let round = 0; round < rounds; round++) {
    for (const name of new Set(['', also]))
      writeFileSync(join(dir, `lock-${round}${name}`), '4194304 of-the-dead');
  }
  const start = Date.now() + 1_000;
  const children = Array.from({ length: processes }, () =>
    spawn(process.execPath, ['--input-type=module', '-e', script, dir, String(start)], {
      stdio: ['ignore', 2, 'pipe'],
    }),
  );
  const complaints = children.map(async (child) => {
    let text = '';
    child.stderr?.on('data', (data: Buffer) => {
      text += data.toString();
    });
    const [code] = await once(child, 'close');
    return code === 0 ? '' : text;
  });
  expect((await Promise.all(complaints)).join('')).toBe('');
  expect(readdirSync(dir)).toEqual([]);
});
