import { execFile, spawn, spawnSync } from 'node:child_process';
import { on, once } from 'node:events';
import { copyFileSync, mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { overviewSchema } from '../src/dashboard/api/schemas.js';
import { temporaryFolder } from './media.js';

const script = fileURLToPath(new URL('../dist/scripts/demo.js', import.meta.url));
const folder = temporaryFolder();

/** Starts the demo with a temporary folder of its own. */
function start(name: string, ...args: string[]) {
  const TMPDIR = join(folder, name);
  mkdirSync(TMPDIR);
  const child = spawn(process.execPath, [script, ...args], {
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
    expect(stdout).toContain('npm run demo -- --keep');
    expect(readdirSync(demo.folder)).toEqual([]);
    expect(await processesOf(demo.folder)).toEqual([]);
  });

  it('with --keep shows its jobs in the dashboard until Ctrl-C, and then removes everything', async () => {
    const demo = start('kept', '--keep');
    let said = '';
    for await (const [chunk] of on(demo.child.stdout, 'data', { close: ['end'] })) {
      said += chunk;
      if (said.includes('Ctrl-C ends it')) break;
    }
    const [url] = /http:\/\/127\.0\.0\.1:\d+\//.exec(said)!;
    expect((await fetch(url)).status).toBe(200);
    const overview = await (await fetch(new URL('api/overview', url))).json();
    const { counts, workers } = overviewSchema.parse(overview);
    expect([counts.completed, counts.failed, workers?.length]).toEqual([4, 0, 1]);
    demo.child.kill('SIGINT');
    expect((await demo.ended).code).toBe(0);
    expect(readdirSync(demo.folder)).toEqual([]);
    expect(await processesOf(demo.folder)).toEqual([]);
  });

  it.each([
    ['Ctrl-C', 'SIGINT', 130],
    ['the closing of its terminal', 'SIGHUP', 130],
    ['the end of whoever reads it', null, 0],
  ] as const)('removes everything on %s, too', async (_, signal, code) => {
    const demo = start(`${signal}`);
    for await (const [chunk] of on(demo.child.stdout, 'data', { close: ['end'] })) {
      if (String(chunk).includes('started a worker')) break;
    }
    if (signal === null) demo.child.stdout.destroy();
    else demo.child.kill(signal);
    expect((await demo.ended).code).toBe(code);
    expect(readdirSync(demo.folder)).toEqual([]);
    expect(await processesOf(demo.folder)).toEqual([]);
  });
});

describe('scripts/run.mjs', () => {
  /** A project in which nothing has to be set up, with a script that tells by which signal it was ended. */
  function project(name: string): string {
    const root = join(folder, name);
    for (const dir of ['scripts', 'dist/scripts', 'node_modules'])
      mkdirSync(join(root, dir), { recursive: true });
    for (const file of ['package-lock.json', 'node_modules/.package-lock.json'])
      writeFileSync(join(root, file), '{"packages":{}}');
    writeFileSync(join(root, 'scripts/build.mjs'), '');
    copyFileSync(new URL('../scripts/run.mjs', import.meta.url), join(root, 'scripts/run.mjs'));
    const listen = `for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'])
      process.on(name, () => process.stdout.write(name, () => process.exit(7)));
      setInterval(() => {}, 1000); console.log('on');`;
    writeFileSync(join(root, 'dist/scripts/listen.js'), listen);
    return join(root, 'scripts/run.mjs');
  }

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('has its script hear %s, and waits', async (signal) => {
    const run = project(`run-${signal}`);
    const child = spawn(process.execPath, [run, 'listen'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'close');
    let said = '';
    for await (const [chunk] of on(child.stdout, 'data', { close: ['end'] })) {
      said += chunk;
      if (said === 'on\n') child.kill(signal);
    }
    expect([said, (await ended)[0]]).toEqual([`on\n${signal}`, 7]);
  });

  it('leaves packages alone that are those of another place', async () => {
    const run = project('run-linked');
    const root = join(folder, 'run-linked');
    renameSync(join(root, 'node_modules'), join(root, 'elsewhere'));
    symlinkSync('elsewhere', join(root, 'node_modules'));
    writeFileSync(join(root, 'package-lock.json'), '{"packages":{"node_modules/a":{"version":"1.0.0"}}}');
    const { status, stderr } = spawnSync(process.execPath, [run], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([1, expect.stringContaining('found a link to others')]);
    expect(readdirSync(join(root, 'elsewhere'))).toEqual(['.package-lock.json']);
  });
});
