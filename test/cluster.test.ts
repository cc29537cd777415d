import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { RedisConnection } from '../queues/index.js';
import { callsOf, until } from './support/script.js';
import { Servers, startCluster, type TestCluster } from './support/servers.js';
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
});
