import { get } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Dashboard, startDashboard } from '../src/dashboard/server.js';
import { useRedis } from './support/redis.js';
import { Bench } from './support/worker.js';

const redis = useRedis();
let bench: Bench;
let dashboard: Dashboard;

beforeEach(async () => {
  bench = new Bench(redis.home, redis.connection);
  dashboard = await startDashboard({ settings: bench.settings, connection: redis.connection, port: 0 });
});
afterEach(async () => {
  await dashboard.close();
  await bench.close();
});

const fetched = (path: string, init?: RequestInit) => fetch(new URL(path, dashboard.url), init);

async function jobs(status: string) {
  const response = await fetched(`api/queues?activeQueue=${bench.settings.queue}&status=${status}`);
  const { queues } = (await response.json()) as { queues: { jobs: Record<string, unknown>[] }[] };
  return queues[0]!.jobs;
}

describe('the dashboard', () => {
  it('serves a page on loopback that loads nothing from elsewhere', async () => {
    const response = await fetched('');
    expect(new URL(dashboard.url).hostname).toBe('127.0.0.1');
    expect(response.status).toBe(200);
    expect(response.headers.get('content-security-policy')).toContain("default-src 'self'");
    expect(await response.text()).toContain('VisionZip');
  });

  it('shows the jobs with long payloads cut, and links to their whole results', async () => {
    const long = 'x'.repeat(10_000);
    const id = await bench.client.ask({ video: 'a.mp4', questions: Array(100).fill(long) });
    const [waiting] = await jobs('waiting');
    expect(waiting).toMatchObject({ id, data: { video: 'a.mp4' }, externalUrl: { href: `/results/${id}` } });
    const { questions } = waiting!.data as { questions: string[] };
    expect(questions).toHaveLength(21);
    expect(questions[0]).toBe(`${'x'.repeat(500)}… (10000 characters)`);
    expect(questions[20]).toBe('… (100 items)');
    await bench.client.cancel(id);
    expect(await (await fetched(`results/${id}`)).json()).toMatchObject({ id, status: 'cancelled' });
    expect((await fetched('results/none')).status).toBe(404);
  });

  it('changes nothing', async () => {
    const id = await bench.client.ask({ video: 'a.mp4', questions: 'what?' });
    const queue = `api/queues/${bench.settings.queue}`;
    const writes = [`${queue}/pause`, `${queue}/empty`, `${queue}/${id}/clean`, `${queue}/${id}/promote`];
    for (const path of [...writes, `${queue}/obliterate`]) {
      expect((await fetched(path, { method: 'PUT' })).status).toBe(405);
    }
    const body = JSON.stringify({ name: 'ask', data: {}, options: {} });
    const headers = { 'content-type': 'application/json' };
    expect((await fetched(`${queue}/add`, { method: 'POST', body, headers })).status).toBe(405);
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 1, completed: 0 });
  });

  it('refuses a page that reached it under another name', async () => {
    const { port } = new URL(dashboard.url);
    const status = await new Promise((resolve, reject) => {
      const options = { port, host: '127.0.0.1', path: '/api/queues', headers: { host: 'evil.example' } };
      get(options, (response) => resolve(response.resume().statusCode)).on('error', reject);
    });
    expect(status).toBe(403);
  });

  it('fails in words where Redis or the port is not to be had', async () => {
    const { settings } = bench;
    const gone = { path: '/nowhere/s' };
    await expect(startDashboard({ settings, connection: gone, port: 0 })).rejects.toThrow(
      'cannot reach Redis at /nowhere/s',
    );
    const port = Number(new URL(dashboard.url).port);
    await expect(startDashboard({ settings, connection: redis.connection, port })).rejects.toThrow(
      'EADDRINUSE',
    );
  });
});
