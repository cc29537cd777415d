import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  jobDetailSchema,
  jobListSchema,
  overviewSchema,
  sessionSchema,
} from '../src/dashboard/api/schemas.js';
import { openApi, type TestApi } from './support/api.js';
import { useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Bench } from './support/worker.js';

const redis = useRedis();
let bench: Bench;
let api: TestApi;

beforeEach(async () => {
  bench = new Bench(redis.home, redis.connection);
  api = await openApi(bench.settings, redis.connection);
});
afterEach(async () => {
  await api.close();
  await bench.close();
});

const isComplete = () => until(() => api.api.index.progress.isComplete);
const stateOf = (id: string) => api.api.index.get(id)?.state;
const rows = async (query = '') => (await api.get(`/jobs?${query}`, jobListSchema)).rows;

describe('the API', () => {
  it('says who looks', async () => {
    expect(await api.get('/session', sessionSchema)).toMatchObject({ csrf: 'token', isReadOnly: false });
  });

  it('tells of a job from its waiting to its answer', async () => {
    await isComplete();
    const live = await api.listen('/live');
    const video = bench.video('clip.mp4', { text: 'red', gate: join(bench.dir, 'gate') });
    const id = await bench.client.ask({ video, questions: ['what?', 'where?'], tags: { run: 'night' } });
    await until(() => stateOf(id) === 'waiting');
    await bench.worker();
    await until(() => stateOf(id) === 'active');
    expect(await rows()).toMatchObject([
      { id, video: 'clip.mp4', question: 'what?', questions: 2, dataset: 'night' },
    ]);
    writeFileSync(join(bench.dir, 'gate'), '');
    await until(() => stateOf(id) === 'completed');
    const [row] = await rows('state=completed');
    expect(row).toMatchObject({ id, answers: ['red', 'red'], attempts: 1, cached: false, error: null });
    await until(() => live.events.some((event) => event.type === 'job' && event.row.state === 'completed'));
    const states = live.events.flatMap((event) => (event.type === 'job' ? [event.row.state] : []));
    expect([...new Set(states)]).toEqual(['waiting', 'active', 'completed']);
    live.stop();
    const overview = await api.get('/overview', overviewSchema);
    expect(overview).toMatchObject({ counts: { completed: 1, waiting: 0 }, reuse: { jobs: 1 } });
    const detail = await api.get(`/jobs/${id}`, jobDetailSchema);
    expect(detail).toMatchObject({ row: { id }, document: { status: 'completed' }, job: { video } });
  });

  it('says in a sentence what it cannot do', async () => {
    expect(await api.problem('/jobs/none')).toEqual({ status: 404, error: 'no job has the id "none"' });
    expect(await api.problem('/jobs?limit=0')).toMatchObject({
      status: 400,
      error: expect.stringContaining('`limit`'),
    });
    expect(await api.problem('/jobs?colour=red')).toMatchObject({ error: '`colour`: unknown field' });
    expect(await api.problem('/jobs/none', {})).toMatchObject({ status: 405 });
    expect(await api.problem('/nowhere')).toMatchObject({ status: 404 });
  });
});
