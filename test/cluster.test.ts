import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connected, hastyClient } from '../queues/connection.js';
import type { RedisConnection } from '../queues/index.js';
import { keysOf } from '../queues/options.js';
import { forgetVideos, readCounts, readVideos } from '../queues/videos.js';
import { readSettings, type Settings } from '../src/settings.js';
import { SightStore } from '../src/workers/sight-store.js';
import { callsOf, until } from './support/script.js';
import { freePort, Servers, startCluster, type TestCluster } from './support/servers.js';
import { Bench } from './support/worker.js';

const prefix = '{visionzip}';
const servers = new Servers();
let cluster: TestCluster;
let connection: RedisConnection;
let bench: Bench;

beforeAll(async () => {
  cluster = await startCluster(servers, prefix);
  connection = { cluster: cluster.places, slotsRefreshInterval: 500 };
}, 60_000);
afterEach(async () => {
  await bench.close();
});
afterAll(() => servers.end());

function open(overrides = {}): Bench {
  bench = new Bench(servers.dir, connection, { redis: connection, prefix, ...overrides });
  return bench;
}

describe('a cluster', () => {
  it('answers jobs, says who works and cancels', async () => {
    open();
    const video = bench.video('a.mp4', { text: 'red' }, { wait: true });
    await bench.worker();
    const document = await bench.client.askAndWait({ video, questions: 'what?' });
    expect(document).toMatchObject({ status: 'completed' });
    const { workers, counts } = await bench.client.status();
    expect(workers).toHaveLength(1);
    expect(counts).toMatchObject({ completed: 1 });
    const id = await bench.client.ask({ video, questions: 'else?' });
    await until(() => callsOf(video).length === 2);
    expect(await bench.client.cancel(id)).toBe('requested');
    expect(await bench.client.wait(id)).toMatchObject({ status: 'cancelled' });
  });

  it('keeps what was seen, and lets go what was not asked about for longest', async () => {
    open();
    const keys = keysOf(prefix, bench.settings.queue);
    const client = hastyClient(connection);
    const settings = { seconds: 60, limitBytes: 100 * 1024 };
    const store = new SightStore({ redis: client, address: 'the cluster', keys, settings });
    for (const name of ['a', 'b', 'c', 'd']) {
      const content = randomBytes(30 * 1024).toString('base64');
      await store.write({ name, content, isNew: true });
      if (name === 'c') await store.touch('a');
    }
    const kept = ['a', 'b', 'c', 'd'].map((name) => client.exists(keys.sight(name)));
    expect(await Promise.all(kept)).toEqual([1, 0, 1, 1]);
    client.disconnect();
  });

  it('keeps what workers say of encoded videos together', async () => {
    open();
    const name = 'c'.repeat(64);
    const tokens = { before: 8, after: 2 };
    const used = [{ name, reused: 'none', bytes: 9, durationSeconds: 1, frames: 1, tokens }];
    const video = bench.video('a.mp4', { text: 'red', used });
    await bench.worker();
    await bench.client.askAndWait({ video, questions: 'what?' });
    const redis = hastyClient(connection);
    await connected(redis, 'the cluster');
    const keys = keysOf(prefix, bench.settings.queue);
    await until(async () => (await readVideos(redis, keys)).length === 1);
    expect(await readVideos(redis, keys)).toMatchObject([{ name, video, hits: 0, bytes: 9 }]);
    expect(await readCounts(redis, keys)).toMatchObject({ prefixMisses: 1, storeMisses: 1 });
    await forgetVideos(redis, keys, [name]);
    expect(await readVideos(redis, keys)).toEqual([]);
    redis.disconnect();
    expect(bench.log.filter(({ msg }) => msg === 'trouble with Redis')).toEqual([]);
  });

  it('streams the text of a job', async () => {
    open();
    const gate = join(bench.dir, 'gate');
    const video = bench.video('a.mp4', { text: 'red', say: ['re', 'd'], gate });
    const id = await bench.client.ask({ video, questions: 'what?' });
    await bench.worker();
    const heard: string[] = [];
    for await (const event of bench.client.stream(id)) {
      heard.push(event.type === 'text' ? event.text : event.type);
      if (heard.length === 1) writeFileSync(gate, '');
    }
    expect(heard).toEqual(['re', 'd', 'answer', 'document']);
  });

  for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
    it(`whose master gets ${signal} loses no job, and worker and client go on`, async () => {
      open();
      const gate = join(bench.dir, 'gate');
      const video = bench.video('a.mp4', { text: 'red', gate }, { text: 'blue' });
      const id = await bench.client.ask({ video, questions: 'what?' });
      await bench.worker();
      const waited = bench.client.wait(id);
      await until(() => callsOf(video).length === 1);
      const master = await cluster.masterOf(prefix);
      master.server.kill(signal);
      writeFileSync(gate, '');
      expect(await waited).toMatchObject({ status: 'completed' });
      const asked = () =>
        bench.client.ask({ video, questions: 'else?' }).then(
          () => true,
          () => false,
        );
      await until(asked);
      await until(async () => (await bench.client.status()).counts.completed === 2);
      if (signal === 'SIGSTOP') master.server.kill('SIGCONT');
      else await cluster.start(master);
      const replication = async () => String(await master.admin.info('replication'));
      await until(async () => (await replication()).includes('master_link_status:up'));
    }, 60_000);
  }

  // The last ones: nothing is left of the cluster behind them.
  it.each([
    ['SIGSTOP', 1],
    ['SIGKILL', 0],
  ] as const)(
    'that has gone (%s) does not keep the process of a worker with %i jobs alive',
    async (signal, jobs) => {
      const own = `{visionzip}${signal}${jobs}`;
      open({ prefix: own, drainMs: 500, abortGraceMs: 200 });
      const video = bench.video('a.mp4', { wait: true });
      const worker = startWorkerProcess(bench.settings);
      try {
        await until(async () => ((await bench.client.status()).workers ?? []).length === 1);
        if (jobs > 0) {
          await bench.client.ask({ video, questions: 'what?' });
          await until(() => callsOf(video).length === 1);
        }
        for (const { server } of cluster.nodes) server.kill(signal);
        // Within seconds, also where the nodes keep their connections.
        const asked = bench.client.ask({ video, questions: 'else?' });
        await expect(asked).rejects.toThrow('cannot reach Redis at the cluster');
        worker.kill('SIGTERM');
        await once(worker, 'exit');
      } finally {
        worker.kill('SIGKILL');
        for (const { server } of cluster.nodes) server.kill('SIGCONT');
      }
    },
  );
});

describe('a worker process', () => {
  it('works over TLS, with a certificate of its own', async () => {
    const { keyFile, certFile } = servers.makeCertificate();
    const files = ['--tls-cert-file', certFile, '--tls-key-file', keyFile, '--tls-ca-cert-file', certFile];
    const port = await freePort();
    const tls = { ca: readFileSync(certFile), cert: readFileSync(certFile), key: readFileSync(keyFile) };
    await servers.start(
      { host: 'localhost', port, tls },
      '--port',
      '0',
      '--tls-port',
      String(port),
      ...files,
    );
    await answersBy({
      REDIS_URL: `rediss://localhost:${port}`,
      VISIONZIP_REDIS_CA: certFile,
      VISIONZIP_REDIS_CERT: certFile,
      VISIONZIP_REDIS_KEY: keyFile,
    });
  });

  it('finds its server by a sentinel', async () => {
    const port = await freePort();
    await servers.start({ host: '127.0.0.1', port }, '--port', String(port));
    const sentinel = await servers.startSentinel(port);
    await answersBy({ REDIS_URL: `redis+sentinel://127.0.0.1:${sentinel}/main` });
  });
});

/** A job is answered by a worker whose process, and a client whose connection, was told so by the environment. */
async function answersBy(env: Record<string, string>): Promise<void> {
  const { redis } = readSettings(env);
  bench = new Bench(servers.dir, redis!, { redis });
  const worker = startWorkerProcess(bench.settings);
  try {
    const video = bench.video('a.mp4', { text: 'red', say: ['re', 'd'] });
    const document = await bench.client.askAndWait({ video, questions: 'what?' }, { onNoWorker: () => {} });
    expect(document).toMatchObject({ status: 'completed', answers: [{ answer: 'red' }] });
    expect(await textOf(await bench.client.ask({ video, questions: 'else?' }))).toBe('red');
    const ended = once(worker, 'exit');
    worker.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
  } finally {
    worker.kill('SIGKILL');
  }
}

async function textOf(id: string): Promise<string> {
  let text = '';
  for await (const event of bench.client.stream(id)) if (event.type === 'text') text += event.text;
  return text;
}

function startWorkerProcess(settings: Settings): ChildProcess {
  const file = fileURLToPath(new URL('./fixtures/worker-process.mjs', import.meta.url));
  return spawn(process.execPath, [file, JSON.stringify(settings)], { stdio: 'ignore' });
}
