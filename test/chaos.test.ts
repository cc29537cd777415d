import { execFile, spawn } from 'node:child_process';
import { on, once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { Documents, failureDocument } from '../queues/documents.js';
import { QueueClient } from '../queues/index.js';
import { cancelledReason, keysOf } from '../queues/options.js';
import { checkDocuments, checkFiles, checkKeys, checkProcesses, checkQueue } from '../scripts/chaos/check.js';
import type { ChaosJob } from '../scripts/chaos/jobs.js';
import { prefix, queue } from '../scripts/chaos/options.js';
import { listProcesses, ProcessRecord } from '../scripts/chaos/processes.js';
import type { ChaosReport } from '../scripts/chaos/report.js';
import { temporaryFolder } from './media.js';
import { FakeWorker } from './support/fake-worker.js';
import { freshQueue, useRedis } from './support/redis.js';

const script = fileURLToPath(new URL('../dist/scripts/chaos.js', import.meta.url));
const folder = temporaryFolder();
const redis = useRedis();

function folderOf(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  return path;
}

describe('npm run chaos', () => {
  it('finds every job answered once and as undisturbed, nothing left behind, while everything is killed', async () => {
    const TMPDIR = folderOf('whole');
    const args = [script, '--jobs', '12', '--kills', '4', '--json'];
    const env = { ...process.env, TMPDIR };
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    const report = JSON.parse(stdout) as ChaosReport;
    expect(report.violations).toEqual([]);
    const { completed, failed, cancelled } = report.documents;
    expect(completed + failed + cancelled).toBe(12);
    expect(completed).toBeGreaterThanOrEqual(10);
    expect(failed).toBe(1); // The file that is no video.
    expect(report.killed).toEqual({ worker: 2, model: 1, redis: 1 });
    expect(report.frozen).toBe(1);
    expect(readdirSync(TMPDIR)).toEqual([]);
  }, 120_000);

  it('leaves nothing behind on Ctrl-C', async () => {
    const TMPDIR = folderOf('interrupted');
    const args = [script, '--jobs', '24', '--kills', '4'];
    const env = { ...process.env, TMPDIR };
    const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    for await (const [chunk] of on(child.stderr, 'data')) if (String(chunk).includes('answering')) break;
    child.kill('SIGINT');
    expect(await once(child, 'exit')).toEqual([130, null]);
    expect(readdirSync(TMPDIR)).toEqual([]);
    const left = (await listProcesses()).filter(({ command }) => command.includes(TMPDIR));
    expect(left).toEqual([]);
  }, 120_000);

  it('says what was expected of an option', async () => {
    const failure = await promisify(execFile)(process.execPath, [script, '--workers', '1']).catch((e) => e);
    expect(failure.code).toBe(1);
    expect(failure.stderr).toBe('chaos: `--workers` must be a whole number of at least 2, got "1"\n');
  });
});

describe('what the chaos test calls a violation', () => {
  const { signal } = new AbortController();
  const job: ChaosJob = {
    id: 'a',
    input: { video: 'a.mp4', questions: 'what?' },
    answer: 'red',
    cancel: null,
  };

  it('is a job without a document, one that failed, one that says cancelled though nobody cancelled it', async () => {
    const connection = redis.connection;
    const client = new QueueClient({ connection, prefix, queue });
    await withRedis(async (server) => {
      const documents = new Documents(server, keysOf(prefix, queue), 100);
      const ended = (id: string, document = null) => [{ job: { ...job, id }, document }];
      expect(await checkDocuments(client, ended('none'), signal)).toEqual(['none has no document']);
      const lost = await documents.writeOnce(failureDocument('lost', 'the model process died'));
      const dropped = await documents.writeOnce(failureDocument('dropped', cancelledReason));
      const check = (id: string, document: typeof lost, more: Partial<ChaosJob> = {}) =>
        checkDocuments(client, [{ job: { ...job, id, ...more }, document }], signal);
      expect(await check('lost', lost)).toEqual(['lost failed: the model process died']);
      expect(await check('lost', lost, { answer: null })).toEqual([]);
      expect(await check('dropped', dropped)).toEqual(['dropped says cancelled, and nobody cancelled it']);
      expect(await check('dropped', dropped, { cancel: 'running' })).toEqual([]);
      const changed = { ...lost, finishedAt: '2026-01-01T00:00:00.000Z' };
      expect(await check('lost', changed)).toEqual([
        `lost had the document of 2026-01-01T00:00:00.000Z, and then that of ${lost.finishedAt}`,
      ]);
    });
    await client.close();
  });

  it('is a job that is still in the queue, and a key without expiry that BullMQ does not keep by design', async () => {
    const client = new QueueClient({ connection: redis.connection, prefix, queue });
    await client.ask(job.input, { id: 'waits' });
    expect(await checkQueue(client, [])).toEqual(['1 jobs are still waiting']);
    await withRedis(async (server) => {
      await server.set(`${prefix}:answer:b`, '1');
      await server.set(`${prefix}:answer:c`, '1', 'EX', 100);
      await server.set(`${prefix}:${queue}:stray:logs`, '1');
      await server.set(keysOf(prefix, queue).result('stray'), '{}', 'EX', 100);
      const faults = await checkKeys(server, new Set(['waits', 'lost', 'dropped']));
      expect(faults.sort()).toEqual([
        `the document ${keysOf(prefix, queue).result('stray')} belongs to no job`,
        `the key ${prefix}:answer:b has no expiry`,
        `the key ${prefix}:${queue}:stray:logs has no expiry`,
        `the key ${prefix}:${queue}:wait has no expiry`,
        `the key ${prefix}:${queue}:waits has no expiry`,
      ]);
    });
    await client.close();
  });

  it('is an answer that is not the undisturbed one', async () => {
    const name = freshQueue();
    const worker = new FakeWorker(redis.connection, name, () => ({ answers: ['blue'] }));
    const client = new QueueClient({ connection: redis.connection, queue: name });
    const document = await client.wait(await client.ask(job.input, { id: job.id }));
    const check = (answer: string | null) =>
      checkDocuments(client, [{ job: { ...job, answer }, document }], signal);
    expect(await check('blue')).toEqual([]);
    expect(await check('red')).toEqual(['a was answered "blue", undisturbed it is "red"']);
    expect(await check(null)).toEqual(['a was answered "blue", undisturbed it is at fault']);
    await worker.close();
    await client.close();
  });

  it('is a process that a worker had, and a file that nobody will remove', async () => {
    const script =
      "require('child_process').spawn('sleep', ['1000'], { detached: true, stdio: 'ignore' }); setInterval(() => {}, 1000); console.log('on')";
    const worker = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(worker.stdout, 'data');
    const record = new ProcessRecord();
    const [orphan] = await record.look(worker.pid!);
    worker.kill('SIGKILL');
    await once(worker, 'exit');
    try {
      expect(await checkProcesses(record, folder)).toEqual([`process ${orphan!.pid} still runs: sleep 1000`]);
    } finally {
      process.kill(orphan!.pid);
    }
    expect(await checkProcesses(record, folder)).toEqual([]);

    const [home, videos, temporary] = ['home', 'videos', 'temporary'].map(folderOf) as [
      string,
      string,
      string,
    ];
    mkdirSync(join(home, 'redis'));
    const left = [join(temporary, 'frame.png'), join(home, 'redis', 'starting')];
    for (const file of left) writeFileSync(file, '');
    writeFileSync(join(videos, 'clip.mp4'), '');
    expect(checkFiles({ home, videos, temporary }, ['clip.mp4'])).toEqual(
      left.map((file) => `the file ${file} was left behind`),
    );
  });
});

async function withRedis(use: (server: Redis) => Promise<void>): Promise<void> {
  const server = new Redis(redis.socket);
  try {
    await use(server);
  } finally {
    server.disconnect();
  }
}
