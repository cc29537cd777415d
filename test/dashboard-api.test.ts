import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Validator } from '@seriousme/openapi-schema-validator';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { hastyClient } from '../queues/connection.js';
import { runRecordSchema } from '../queues/runs.js';
import type { Result } from '../queues/schemas.js';
import { sightSchema } from '../queues/sight.js';
import {
  actionOutcomeSchema,
  askedSchema,
  bulkOutcomeSchema,
  datasetListSchema,
  datasetSchema,
  errorListSchema,
  facetsSchema,
  healthSchema,
  type JobState,
  jobDetailSchema,
  jobListSchema,
  overviewSchema,
  sessionSchema,
} from '../src/dashboard/api/schemas.js';
import { startWorker } from '../src/workers/worker.js';
import { ffmpeg, h264, testPattern } from './media.js';
import { type Heard, openApi, type TestApi } from './support/api.js';
import { useRedis } from './support/redis.js';
import { callsOf, type Reply, until } from './support/script.js';
import { Bench, longLock } from './support/worker.js';

const redis = useRedis();
let bench: Bench;
let api: TestApi;

beforeEach(async () => {
  bench = new Bench(redis.home, redis.connection, longLock);
  api = await openApi(bench.settings, redis.connection);
  await until(() => api.api.index.progress.isComplete);
});
afterEach(async () => {
  await api.close();
  await bench.close();
});

const stateOf = (id: string) => api.api.index.get(id)?.state;
const reaches = (id: string, state: JobState) => until(() => stateOf(id) === state);
const rows = async (query = '') => (await api.get(`/jobs?${query}`, jobListSchema)).rows;
const detail = (id: string) => api.get(`/jobs/${id}`, jobDetailSchema);
const statesIn = ({ events }: Heard) => [
  ...new Set(events.flatMap((event) => (event.type === 'job' ? [event.row.state] : []))),
];

describe('the API', () => {
  it('says who looks', async () => {
    expect(await api.get('/session', sessionSchema)).toMatchObject({ csrf: 'token', isReadOnly: false });
  });

  it('describes itself in OpenAPI 3.1', async () => {
    const description = (await (await api.fetch('/openapi.json')).json()) as Record<string, unknown>;
    expect(description).toMatchObject({
      openapi: '3.1.1',
      paths: { '/jobs/{id}': { get: expect.anything() } },
    });
    const { valid, errors } = await new Validator().validate(description);
    expect(errors).toBeUndefined();
    expect(valid).toBe(true);
  });

  it('tells of a job from its waiting to its answer', async () => {
    const live = await api.listen('/live');
    const gate = join(bench.dir, 'gate');
    const video = bench.video('clip.mp4', { text: 'red', gate, progress: 3 });
    const id = await bench.client.ask({ video, questions: ['what?', 'where?'], tags: { run: 'night' } });
    await reaches(id, 'waiting');
    await bench.worker();
    await until(() => api.api.index.get(id)?.progress?.framesDone === 3);
    const one = { id, video: 'clip.mp4', question: 'what?', questions: 2, dataset: 'night', state: 'active' };
    expect(await rows()).toMatchObject([{ ...one, progress: { stage: 'encode', framesTotal: 3 } }]);
    // A worker may have a job in hand before it has said what it is.
    await until(async () => {
      const { workers } = await api.get('/overview', overviewSchema);
      return workers?.[0]?.concurrency === 1 && workers[0].jobs[0]?.id === id;
    });
    writeFileSync(gate, '');
    await reaches(id, 'completed');
    expect(await rows('state=completed')).toMatchObject([
      { id, answers: ['red', 'red'], attempts: 1, error: null },
    ]);
    await until(() => statesIn(live).includes('completed'));
    expect(statesIn(live)).toEqual(['waiting', 'active', 'completed']);
    await until(() =>
      live.events.some((event) => event.type === 'overview' && event.overview.counts.completed === 1),
    );
    live.stop();
    const overview = await api.get('/overview?hours=2', overviewSchema);
    expect(overview).toMatchObject({ counts: { completed: 1, waiting: 0 }, reuse: { jobs: 1 } });
    const { row, document, job, attempts, commands } = await detail(id);
    expect([row.id, document?.status, job?.video, attempts.length]).toEqual([id, 'completed', video, 1]);
    expect(commands.map(({ command }) => command)).toContain(`visionzip result ${id} --json`);
    expect(await api.get('/facets', facetsSchema)).toMatchObject({ models: ['nano'], datasets: ['night'] });
  });

  it('makes an overview that takes long less often', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'] });
    const { index, overview } = api.api;
    const figures = index.figures.bind(index);
    const slow = vi.spyOn(index, 'figures').mockImplementation((hours, now) => {
      vi.advanceTimersByTime(500);
      return figures(hours, now);
    });
    const callsAfter = async (ms: number) => {
      vi.advanceTimersByTime(ms);
      await overview(24);
      return slow.mock.calls.length;
    };
    // Ten times 500 ms, from the end of the making.
    expect([await callsAfter(0), await callsAfter(4_999), await callsAfter(1)]).toEqual([1, 1, 2]);
    vi.useRealTimers();
  });

  it('tells of the last attempts alone where a record has more than anybody reads', async () => {
    const id = await bench.client.ask({ video: 'a.mp4', questions: '?' });
    const admin = hastyClient(redis.connection);
    await admin.connect();
    const { prefix, queue } = bench.settings;
    await admin.hset(`${prefix}:${queue}:${id}`, 'ats', 3e9);
    admin.disconnect();
    const { attempts } = await detail(id);
    expect([attempts.length, attempts.at(-1)?.attempt]).toEqual([1_000, 3e9]);
  });

  it('streams the answers of a job until it has ended', async () => {
    const video = bench.video('clip.mp4', { text: 'red car', say: ['red', ' car'] });
    const id = await bench.client.ask({ video, questions: 'what?' });
    const stream = await api.listen(`/jobs/${id}/stream`);
    await bench.worker();
    await stream.ended;
    const events = stream.events as unknown as { type: string; text?: string }[];
    expect(events.map(({ text = '' }) => text).join('')).toBe('red car');
    expect(events.at(-1)).toMatchObject({ type: 'document', document: { status: 'completed' } });
    expect(await api.problem('/jobs/none/stream')).toMatchObject({ status: 404 });
  });

  it('says in a sentence what it cannot do', async () => {
    expect(await api.problem('/jobs/none')).toEqual({ status: 404, error: 'no job has the id "none"' });
    expect(await api.problem('/jobs?limit=0')).toMatchObject({
      status: 400,
      error: expect.stringContaining('`limit`'),
    });
    expect(await api.problem('/jobs?colour=red')).toMatchObject({ error: '`colour`: unknown field' });
    expect(await api.problem('/jobs?state=gone')).toMatchObject({ status: 400 });
    for (const path of ['/jobs?maxMs=', '/jobs?to=+', '/jobs?minMs=1&minMs=2', '/overview?hours='])
      expect([path, await api.problem(path)]).toEqual([path, expect.objectContaining({ status: 400 })]);
    const bulk = { action: 'cancel', filter: { maxMs: null } };
    expect(await api.problem('/jobs/bulk', bulk)).toMatchObject({ status: 400 });
    expect(await api.problem('/jobs/none', {})).toMatchObject({ status: 405 });
    expect(await api.problem('/nowhere')).toMatchObject({ status: 404 });
    expect(await api.problem('/jobs/%ff')).toMatchObject({ status: 400 });
    expect(await api.problem('/jobs', { video: 'a.mp4' })).toMatchObject({
      error: expect.stringContaining('`questions`'),
    });
    const noJson = { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } };
    expect((await api.fetch('/jobs', noJson)).status).toBe(400);
    expect((await api.fetch('/jobs', { method: 'POST', body: 'video=a' })).status).toBe(400);
  });

  it('changes nothing where it may only read', async () => {
    const reading = await openApi(bench.settings, redis.connection, { isReadOnly: true });
    expect(await reading.problem('/jobs', { video: 'a.mp4', questions: 'what?' })).toMatchObject({
      status: 403,
    });
    await reading.close();
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 0 });
  });
});

describe('lists', () => {
  it('are filtered, ordered and cut', async () => {
    const ids = await bench.client.askMany(
      ['sea.mp4', 'SEA side.mp4', 'hill.mp4'].map((video, i) => ({
        video,
        questions: `what is ${i}?`,
        tags: { run: `r${i}` },
      })),
    );
    await until(() => ids.every((id) => stateOf(id) === 'waiting'));
    const found = async (query: string) => (await rows(query)).map(({ id }) => ids.indexOf(id)).sort();
    expect(await found('')).toEqual([0, 1, 2]);
    expect(await found('text=sea')).toEqual([0, 1]);
    expect(await found('text=SIDE+what')).toEqual([1]);
    expect(await found('dataset=r2')).toEqual([2]);
    expect(await found('state=waiting&state=failed&question=2')).toEqual([2]);
    expect(await found('state=failed')).toEqual([]);
    const page = await api.get('/jobs?order=oldest&offset=1&limit=1', jobListSchema);
    expect([page.total, page.rows.length]).toEqual([3, 1]);
  });

  it('carry whatever producers wrote as text', async () => {
    const hostile = '</script><img src=x onerror="alert(1)">\u202e"\'\n\u0000\ud83d\ude00';
    const video = bench.video('a.mp4', { fail: hostile, input: true });
    const id = await bench.client.ask({ video, questions: hostile, tags: { note: hostile } });
    await bench.worker();
    await reaches(id, 'failed');
    const response = await api.fetch('/jobs');
    expect(response.headers.get('content-type')).toMatch(/^application\/json/);
    const [row] = await rows();
    expect(row).toMatchObject({ question: hostile, error: hostile, tags: { note: hostile } });
    const page = await api.fetch(`/jobs/${id}/page`);
    expect(page.headers.get('content-security-policy')).toMatch(
      /^default-src 'none'; style-src 'unsafe-inline'/,
    );
    const text = await page.text();
    expect(text).not.toMatch(/<script|<img/);
    expect(text).toContain('&lt;/script&gt;&lt;img src=x onerror=&quot;alert(1)&quot;&gt;');
  });

  it('put failures together that are alike', async () => {
    const fail = (name: string) => ({
      video: bench.video(name, { fail: `"${name}" is no video`, input: true }),
      questions: '?',
    });
    const ids = await bench.client.askMany(['a.mp4', 'b.mp4'].map(fail));
    await bench.worker();
    await until(() => ids.every((id) => stateOf(id) === 'failed'));
    const { groups } = await api.get('/errors', errorListSchema);
    expect(groups).toMatchObject([{ errorClass: '… is no video', fault: 'video', count: 2 }]);
    expect(await rows('errorClass=%E2%80%A6+is+no+video')).toHaveLength(2);
    expect((await api.get('/errors?text=b.mp4', errorListSchema)).groups).toMatchObject([{ count: 1 }]);
  });
});

describe('actions', () => {
  it('ask', async () => {
    const { id } = await api.post('/jobs', askedSchema, { video: 'a.mp4', questions: 'what?' });
    await reaches(id, 'waiting');
    expect(await detail(id)).toMatchObject({ job: { questions: ['what?'], model: 'nano' }, document: null });
  });

  it('cancel a job that waits, and ask it again', async () => {
    const video = bench.video('a.mp4', { text: 'red' });
    const id = await bench.client.ask({ video, questions: 'what?' });
    await reaches(id, 'waiting');
    expect(await api.post(`/jobs/${id}/cancel`, actionOutcomeSchema)).toEqual({ outcome: 'cancelled' });
    await reaches(id, 'cancelled');
    expect(await detail(id)).toMatchObject({
      job: null,
      document: { status: 'cancelled' },
      row: { video: 'a.mp4' },
    });
    expect(await api.get('/overview', overviewSchema)).toMatchObject({ counts: { cancelled: 1, failed: 0 } });
    expect(await api.post(`/jobs/${id}/cancel`, actionOutcomeSchema)).toEqual({ outcome: 'finished' });
    expect(await api.post(`/jobs/${id}/retry`, actionOutcomeSchema)).toEqual({ outcome: 'retried' });
    await bench.worker();
    await reaches(id, 'completed');
    expect(await api.problem(`/jobs/${id}/retry`, {})).toMatchObject({ status: 409 });
    expect(await api.problem('/jobs/none/cancel', {})).toMatchObject({ status: 404 });
    expect(await api.problem('/jobs/none/retry', {})).toMatchObject({ status: 404 });
    for (const key of ['meta', 'events', 'completed'])
      expect(await api.problem(`/jobs/${key}/cancel`, {})).toMatchObject({ status: 404 });
  });

  it('cancel a job that runs, and ask it again', async () => {
    const video = bench.video('a.mp4', { wait: true }, { text: 'red' });
    const id = await bench.client.ask({ video, questions: 'what?' });
    await bench.worker();
    await until(() => callsOf(video).length === 1);
    expect(await api.post(`/jobs/${id}/cancel`, actionOutcomeSchema)).toEqual({ outcome: 'requested' });
    await reaches(id, 'cancelled');
    expect(await api.get('/overview', overviewSchema)).toMatchObject({ counts: { cancelled: 1, failed: 0 } });
    await api.post(`/jobs/${id}/retry`, actionOutcomeSchema);
    await reaches(id, 'completed');
    expect(await detail(id)).toMatchObject({ document: { answers: [{ answer: 'red' }] } });
  });

  it('say of a job that was cancelled elsewhere before it began that nothing is left to ask', async () => {
    const id = await bench.client.ask({ video: 'a.mp4', questions: 'what?' });
    await reaches(id, 'waiting');
    await bench.client.cancel(id);
    await reaches(id, 'cancelled');
    expect(await api.problem(`/jobs/${id}/retry`, {})).toMatchObject({ status: 409 });
  });

  it('are done to all jobs that meet a filter', async () => {
    const ask = (run: string, reply: Reply) => ({
      video: bench.video(`${run}.mp4`, reply),
      questions: '?',
      tags: { run },
    });
    const bad = await bench.client.askMany([1, 2, 3].map(() => ask('bad', { fail: 'no', input: true })));
    const worker = await bench.worker();
    await until(() => bad.every((id) => stateOf(id) === 'failed'));
    await worker.close();
    const good = await bench.client.askMany([1, 2].map(() => ask('good', { text: 'red' })));
    await until(() => good.every((id) => stateOf(id) === 'waiting'));
    bench.video('bad.mp4', { text: 'blue' });
    const retry = { action: 'retry', filter: { dataset: 'bad' }, limit: 2 };
    expect(await api.post('/jobs/bulk', bulkOutcomeSchema, retry)).toEqual({
      matched: 3,
      done: 2,
      skipped: 1,
    });
    await until(() => bad.filter((id) => stateOf(id) === 'waiting').length === 2);
    const cancel = { action: 'cancel', filter: { dataset: 'good' } };
    expect(await api.post('/jobs/bulk', bulkOutcomeSchema, cancel)).toEqual({
      matched: 2,
      done: 2,
      skipped: 0,
    });
    await bench.worker();
    await until(() => bad.filter((id) => stateOf(id) === 'completed').length === 2);
    expect(await rows('state=cancelled')).toHaveLength(2);
  });
});

describe('a video', () => {
  it('is sent in whole or in parts, from below the video folders alone', async () => {
    const outside = mkdtempSync('/tmp/visionzip-outside-');
    try {
      const bytes = Buffer.concat([Buffer.from('\0\0\0\x18ftypisom'), Buffer.alloc(1_000, 7)]);
      const path = join(bench.dir, 'clip.mp4');
      writeFileSync(path, bytes);
      writeFileSync(join(outside, 'secret.mp4'), bytes);
      symlinkSync(join(outside, 'secret.mp4'), join(bench.dir, 'link.mp4'));
      writeFileSync(join(bench.dir, 'text.mp4'), 'no video at all, but words');
      mkdirSync(join(bench.dir, 'folder.mp4'));
      const id = await bench.client.ask({ video: path, questions: '?' });
      expect((await detail(id)).hasVideo).toBe(true);
      const whole = await api.fetch(`/jobs/${id}/video`);
      expect([whole.status, whole.headers.get('content-type')]).toEqual([200, 'video/mp4']);
      expect(Buffer.from(await whole.arrayBuffer())).toEqual(bytes);
      const part = await api.fetch(`/jobs/${id}/video`, { headers: { range: 'bytes=4-7' } });
      expect([part.status, part.headers.get('content-range')]).toEqual([206, `bytes 4-7/${bytes.length}`]);
      expect(await part.text()).toBe('ftyp');
      const end = await api.fetch(`/jobs/${id}/video`, { headers: { range: 'bytes=-5000' } });
      expect([end.status, Buffer.from(await end.arrayBuffer())]).toEqual([206, bytes]);
      const beyond = await api.fetch(`/jobs/${id}/video`, { headers: { range: 'bytes=5000-' } });
      expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, `bytes */${bytes.length}`]);
      for (const name of ['link.mp4', '../secret.mp4', 'text.mp4', 'folder.mp4', 'absent.mp4']) {
        const other = await bench.client.ask({ video: join(bench.dir, name), questions: '?' });
        expect((await detail(other)).hasVideo).toBe(false);
        expect(await api.problem(`/jobs/${other}/video`)).toMatchObject({ status: 404 });
      }
      const passwd = await bench.client.ask({ video: '/etc/passwd', questions: '?' });
      expect(await api.problem(`/jobs/${passwd}/video`)).toMatchObject({ status: 404 });
    } finally {
      rmSync(outside, { recursive: true });
    }
  });
});

describe('with the shipped model', () => {
  it('shows what it saw, on a page of its own too', async () => {
    const models = fileURLToPath(new URL('../models', import.meta.url));
    const tokenStore = { dir: join(bench.dir, 'tokens'), limitBytes: 2 ** 28 };
    const clip = join(bench.dir, 'clip.mp4');
    await ffmpeg(...testPattern(320, 240, 20, 2), ...h264(), clip);
    const live = await api.listen('/live');
    const worker = await startWorker(
      { ...bench.settings, modelDirs: [models], tokenStore },
      pino({ level: 'silent' }),
    );
    const sampling = { frames: 4, method: 'uniform' as const };
    const id = await bench.client.ask({
      video: clip,
      questions: 'What moves?',
      sampling,
      generation: { maxNewTokens: 4 },
    });
    await reaches(id, 'completed');
    await until(() => statesIn(live).includes('completed'));
    live.stop();
    await worker.close();
    const found = await detail(id);
    expect(found).toMatchObject({ hasSight: true, hasVideo: true, document: { status: 'completed' } });
    // What the list knows is what the worker left with the job itself.
    const { tokens, timings } = found.document as Result;
    expect(found.row).toMatchObject({ frames: 4, tokens, reused: 'none' });
    expect(found.row.totalMs).toBeCloseTo(timings.totalMs, 0);
    // One that was made just before is good for a moment.
    await until(async () => {
      const { stages } = await api.get('/overview', overviewSchema);
      const names = stages.map(({ stage }) => stage);
      return ['encodeMs', 'prefillMs', 'totalMs'].every((name) => names.includes(name));
    });
    const sight = await api.get(`/jobs/${id}/sight`, sightSchema);
    expect(sight.frames).toHaveLength(4);
    const page = await (await api.fetch(`/jobs/${id}/page`)).text();
    expect(page.match(/<image [^>]*href="data:image\/webp;base64,/g)).toHaveLength(4);
    expect(page).toContain('class="dominant"');
    expect(page).not.toMatch(/<script|https?:\/\//);
    const { checks } = await api.get('/health', healthSchema);
    expect(checks.map(({ name, level }) => [name, level])).toContainEqual(['Eviction', 'ok']);
  }, 60_000);
});

describe('runs of datasets', () => {
  const record = (rest: object) =>
    runRecordSchema.parse({
      ...{
        id: 'r1.2-of-4',
        name: 'q.jsonl',
        questions: '/q.jsonl',
        out: '-',
        host: hostname(),
        pid: 1,
        model: 'nano',
      },
      ...{
        settings: 's',
        tags: {},
        startedAt: new Date().toISOString(),
        updatedAt: new Date().toISOString(),
      },
      ...{ state: 'running', total: 10, done: 5, doneBefore: 0, failed: 1, cancelled: 0 },
      failures: [
        { fault: 'video', message: '… is no video', count: 1, example: { row: 1, video: 'a', error: 'x' } },
      ],
      ...{ accuracy: { right: 3, count: 4 }, accuracyByKind: [{ kind: 'colour', right: 3, count: 4 }] },
      ...{ rowsPerMinute: 2, secondsLeft: 150, ...rest },
    });

  it('are listed with their accuracy, and controlled', async () => {
    await bench.client.reportRun(record({}));
    const { datasets } = await api.get('/datasets', datasetListSchema);
    // Wilson's interval of 3 of 4, worked out by hand: (0.75 + 0.4802 ± 0.9799 · sqrt(0.1875 + 0.2401) / …) → 0.3006 to 0.9544.
    expect(datasets).toMatchObject([{ id: 'r1.2-of-4', run: 'r1', state: 'running', hasReport: false }]);
    expect(datasets[0]!.accuracy!.low).toBeCloseTo(0.3006, 3);
    expect(datasets[0]!.accuracy!.high).toBeCloseTo(0.9544, 3);
    expect(await api.post('/datasets/r1.2-of-4', actionOutcomeSchema, { action: 'pause' })).toEqual({
      outcome: 'requested',
    });
    expect(await bench.client.reportRun(record({}))).toBe('pause');
    await api.post('/datasets/r1.2-of-4', actionOutcomeSchema, { action: 'resume' });
    expect(await bench.client.reportRun(record({}))).toBeNull();
    expect(await api.problem('/datasets/none')).toMatchObject({ status: 404 });
    expect(await api.problem('/datasets/r1.2-of-4', { action: 'fly' })).toMatchObject({ status: 400 });
  });

  it('are lost when nothing was heard of them for a minute', async () => {
    const updatedAt = new Date(Date.now() - 61_000).toISOString();
    await bench.client.reportRun(record({ id: 'old', updatedAt }));
    expect(await api.get('/datasets/old', datasetSchema)).toMatchObject({ state: 'lost', secondsLeft: null });
    expect(await api.problem('/datasets/old', { action: 'pause' })).toMatchObject({ status: 409 });
  });

  it('are reported where their answers can be read', async () => {
    const out = join(bench.dir, 'answers.jsonl');
    const row = {
      question: 'what?',
      answer: 'red',
      prediction: '<b>red</b>',
      status: 'completed',
      video: 'a.mp4',
      batch: { row: 0, hash: 'h', settings: 's' },
    };
    writeFileSync(out, `${JSON.stringify(row)}\n`);
    await bench.client.reportRun(record({ id: 'here', out }));
    await bench.client.reportRun(record({ id: 'there', out, host: 'elsewhere' }));
    expect(await api.get('/datasets/here', datasetSchema)).toMatchObject({ hasReport: true });
    const page = await (await api.fetch('/datasets/here/report')).text();
    expect(page).toContain('1 row');
    expect(page).not.toContain('<b>red');
    const better = join(bench.dir, 'better.jsonl');
    writeFileSync(better, `${JSON.stringify({ ...row, answer: '<b>red</b>' })}\n`);
    await bench.client.reportRun(record({ id: 'better', out: better }));
    const beside = await (await api.fetch('/datasets/better/report?before=here')).text();
    expect(beside).toContain('1 better, 0 worse');
    expect(await api.problem('/datasets/better/report?before=there')).toMatchObject({ status: 404 });
    expect(await api.problem('/datasets/better/report?before=none')).toMatchObject({ status: 404 });
    expect(await api.problem('/datasets/there/report')).toMatchObject({ status: 404 });
    // What a record names may be any file.
    const other = join(bench.dir, 'other.jsonl');
    writeFileSync(other, `${JSON.stringify({ ...row, batch: { ...row.batch, settings: 'others' } })}\n`);
    const plain = join(bench.dir, 'plain.jsonl');
    writeFileSync(plain, `${JSON.stringify({ ...row, batch: undefined })}\n`);
    for (const foreign of [other, plain, '/etc/passwd', bench.dir, '/dev/zero']) {
      await bench.client.reportRun(record({ id: 'foreign', out: foreign }));
      expect(await api.get('/datasets/foreign', datasetSchema)).toMatchObject({ hasReport: false });
      const { status, error } = await api.problem('/datasets/foreign/report');
      expect([status, error]).toEqual([404, expect.stringContaining('cannot be read here')]);
    }
  });
});

describe('while Redis is away', () => {
  it('says so, and goes on when it is back', async () => {
    const [id] = await bench.client.askMany([{ video: 'a.mp4', questions: 'what?' }]);
    await reaches(id!, 'waiting');
    const live = await api.listen('/live');
    await until(() => live.events.some(({ type }) => type === 'overview'));
    await redis.stop();
    await until(async () => (await api.fetch('/overview')).status === 503);
    expect(await api.problem('/overview')).toMatchObject({ error: expect.stringContaining('Redis') });
    expect(await api.problem(`/jobs/${id}`)).toMatchObject({ status: 503 });
    expect(await api.problem('/jobs', { video: 'a.mp4', questions: 'what?' })).toMatchObject({ status: 503 });
    expect(await rows()).toMatchObject([{ id }]); // What is in memory can still be read.
    await until(() => live.events.some(({ type }) => type === 'away'));
    await redis.start();
    await until(() => live.events.some(({ type }) => type === 'back'));
    expect(live.events.filter(({ type }) => type === 'away')).toHaveLength(1);
    const later = await bench.client.ask({ video: 'b.mp4', questions: 'what?' });
    await reaches(later, 'waiting');
    expect(await api.get('/overview', overviewSchema)).toMatchObject({ counts: { waiting: 2 } });
    live.stop();
  });
});
