import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { temporaryFolder } from './media.js';
import { useRedis } from './support/redis.js';

const run = promisify(execFile);
const script = (name: string) => fileURLToPath(new URL(`../dist/scripts/${name}.js`, import.meta.url));
const compiled = (name: string) => fileURLToPath(new URL(`../.cache/examples/${name}.js`, import.meta.url));
const cliMain = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const redis = useRedis();
const folder = temporaryFolder();
/** Of seed 3 of the README's commands. */
const clip = 'clips/clip-000.mp4';

beforeAll(async () => {
  await run(process.execPath, [script('examples')]);
  await run(process.execPath, [script('clips'), ...['--seed', '3', '--count', '1'], '--out', 'clips'], {
    cwd: folder,
  });
}, 120_000);

describe('the examples and the TypeScript of the documentation', () => {
  it('do not compile where one does not fit the package', async () => {
    const file = join(folder, 'wrong.md');
    writeFileSync(
      file,
      "# Title\n\n```ts\nimport { loadModel } from 'visionzip-worker/pipeline';\nawait loadModel(7);\n```\n",
    );
    await expect(run(process.execPath, [script('examples'), '--file', file])).rejects.toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/wrong\.md\.1\.ts\(5,17\).*'number'/), // The document's own line.
    });
    expect(existsSync(compiled('examples/worker'))).toBe(true);
  });

  it('answer without a queue', async () => {
    const { stdout } = await run(
      process.execPath,
      [compiled('examples/ask'), clip, 'What colour is the triangle?', 'Count all the objects.'],
      { cwd: folder },
    );
    expect(stdout).toBe('What colour is the triangle? yellow\nCount all the objects. 2\n');
    const readme = await run(process.execPath, [compiled('.cache/fences/README.md.2')], { cwd: folder });
    expect(readme.stdout).toContain("answer: 'yellow'");
  });

  it('find frames that are alike in the store', async () => {
    const env = {
      ...process.env,
      VISIONZIP_HOME: join(folder, 'home'),
      VISIONZIP_STORE_DIR: join(folder, 'store'),
    };
    await run(process.execPath, [cliMain, 'ask', clip, 'What colour is the triangle?'], { cwd: folder, env });
    const names = readdirSync(join(folder, 'store'), { recursive: true, encoding: 'utf8' });
    const files = names.map((name) => join(folder, 'store', name)).filter((file) => statSync(file).isFile());
    const stored = files.filter((file) => readFileSync(file, 'latin1').startsWith('VZT'));
    const { stdout } = await run(process.execPath, [compiled('examples/find-frames'), '0', ...stored]);
    // The frame itself is nearest.
    expect(stdout).toMatch(/^1\.0000 0\.0 s of .*\n[01]\.\d{4} \d/);
  });
});

describe('a worker and a dashboard started from code', () => {
  // The README's program knows the default queue alone; the server is this file's own.
  const env = { ...process.env, REDIS_URL: '', VISIONZIP_HOME: '', PORT: '0' };
  let worker: ChildProcess;
  let said = '';

  beforeAll(async () => {
    env.VISIONZIP_HOME = redis.home;
    worker = spawn(process.execPath, [compiled('examples/worker')], {
      ...{ cwd: folder, env },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    worker.stdout!.on('data', (chunk: Buffer) => {
      said += chunk;
    });
    while (!said.includes('\n')) await once(worker.stdout!, 'data');
  });

  afterAll(() => void worker.kill('SIGKILL'));

  it('answer the producer of the README', async () => {
    const readme = await run(process.execPath, [compiled('.cache/fences/README.md.1')], { cwd: folder, env });
    expect(readme.stdout).toContain("answer: 'yellow'");
  });

  it('show the queue, and end when they are told to', async () => {
    const [, url] = /queue: (http:\S+)/.exec(said)!;
    const page = await fetch(new URL('api/overview', url));
    expect(await page.json()).toMatchObject({ queue: { name: 'ask' }, workers: [{ concurrency: 1 }] });
    const exited = once(worker, 'exit');
    worker.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
  });
});
