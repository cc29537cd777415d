import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
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

/** Enqueues one job; types that the package exports are used as a consumer would. */
const consumer = `
import { type AskJobInput, QueueClient, type ResultDocument, resultSchema } from 'visionzip-worker/queue';
import { type AnswerRequest, splitBudget } from 'visionzip-worker/pipeline';
import { answerVideo, QueueClient as SameClient } from 'visionzip-worker';

const [path, queue] = process.argv.slice(2) as [string, string];
const client = new QueueClient({ connection: { path }, queue });
const job: AskJobInput = { video: '/videos/clip.mp4', questions: 'What moves?', compression: splitBudget(17) };
const id: string = await client.ask(job, { id: 'from-a-consumer' });
const document: ResultDocument | null = await client.result(id);
await client.close();
const sampling: AnswerRequest['sampling'] = { frames: 8 };
console.log(
  JSON.stringify({
    id,
    document,
    sampling,
    same: SameClient === QueueClient,
    has: [typeof answerVideo, typeof resultSchema],
  }),
);
`;

const tsconfig = {
  compilerOptions: {
    target: 'ES2022',
    module: 'NodeNext',
    strict: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [join(root, 'node_modules/@types')],
  },
  files: ['consumer.ts'],
};

describe('the packed package, installed into an empty project', () => {
  let project: string;

  beforeAll(async () => {
    project = await mkdtemp(join(tmpdir(), 'visionzip-package-'));
    await writeFile(join(project, 'package.json'), JSON.stringify({ type: 'module', private: true }));
    await writeFile(join(project, 'consumer.ts'), consumer);
    await writeFile(join(project, 'tsconfig.json'), JSON.stringify(tsconfig));
    // It is compiled already: npm test does that first.
    await npm(root, 'pack', '--ignore-scripts', '--pack-destination', project);
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
    const tarball = `./visionzip-worker-${version}.tgz`;
    await npm(project, 'install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', tarball);
  }, 300_000);

  afterAll(() => rm(project, { recursive: true, force: true }));

  it('type-checks, and enqueues through the client', async () => {
    await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', project]);
    const queue = freshQueue();
    const { path } = redis.connection as { path: string };
    const { stdout } = await run(process.execPath, [join(project, 'consumer.js'), path, queue]);
    expect(JSON.parse(stdout)).toEqual({
      id: 'from-a-consumer',
      document: null,
      sampling: { frames: 8 },
      same: true,
      has: ['function', 'object'],
    });
    const client = new QueueClient({ connection: redis.connection, queue });
    expect((await client.status()).counts).toMatchObject({ waiting: 1 });
    await client.close();
  });

  it('has the command line', async () => {
    const { stdout } = await run(join(project, 'node_modules/.bin/visionzip'), ['--help']);
    expect(stdout).toContain('Usage: visionzip');
  });
});

async function npm(cwd: string, ...args: string[]): Promise<void> {
  await run('npm', args, { cwd, env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' } });
}
