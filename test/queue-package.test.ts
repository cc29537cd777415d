import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { QueueClient } from '../queues/index.js';
import { freshQueue, useRedis } from './support/redis.js';

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);
const redis = useRedis();

const producer = `
import { QueueClient } from 'visionzip-queue';
const [path, queue] = process.argv.slice(2);
const client = new QueueClient({ connection: { path }, queue });
console.log(await client.ask({ video: '/videos/clip.mp4', questions: ['What moves?'] }, { id: 'from-a-producer' }));
await client.close();
`;

describe('visionzip-queue, what a producer installs', () => {
  let project: string;

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'visionzip-producer-'));
    await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module', private: true }));
    await writeFile(join(project, 'producer.js'), producer);
    await run('npm', ['pack', './dist/queues', '--pack-destination', project], { cwd: root });
    const tarball = (await readdir(project)).find((name) => name.endsWith('.tgz'))!;
    const quiet = ['--prefer-offline', '--ignore-scripts', '--no-audit', '--no-fund'];
    await run('npm', ['install', ...quiet, `./${tarball}`], { cwd: project });
  }, 300_000);

  afterAll(() => rm(project, { recursive: true, force: true }));

  it('enqueues a job that the worker package sees', async () => {
    const queue = freshQueue();
    const { path } = redis.connection as { path: string };
    const { stdout } = await run(process.execPath, [join(project, 'producer.js'), path, queue]);
    expect(stdout).toBe('from-a-producer\n');
    const client = new QueueClient({ connection: redis.connection, queue });
    expect((await client.status()).counts).toMatchObject({ waiting: 1 });
    await client.close();
  });

  it('brings none of the heavy packages', async () => {
    const installed = await readdir(join(project, 'node_modules'));
    expect(installed).toEqual(expect.arrayContaining(['bullmq', 'ioredis', 'zod']));
    for (const name of ['onnxruntime-node', 'sharp', '@img', '@bull-board', '@huggingface', 'express']) {
      expect(installed).not.toContain(name);
    }
  });

  it('has the version of the worker, and its versions of what both need', async () => {
    const [own, whole] = await Promise.all(
      ['queues/package.json', 'package.json'].map(async (file) =>
        JSON.parse(await readFile(join(root, file), 'utf8')),
      ),
    );
    expect(own.version).toBe(whole.version);
    expect(whole.dependencies).toMatchObject(own.dependencies);
  });
});
