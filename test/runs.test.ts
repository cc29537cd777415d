import { mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type AskJob, QueueClient, type RunRecord } from '../queues/index.js';
import { defaultPrefix, keysOf } from '../queues/options.js';
import { controlRun, listRuns, readRun, writeRun } from '../queues/runs.js';
import { RunCounts } from '../src/batch/run-counts.js';
import { RunRecorder } from '../src/batch/run-recorder.js';
import { Tally } from '../src/batch/tally.js';
import { textOf } from '../src/pipeline/questions.js';
import { cli, documentOf, startCli } from './support/cli.js';
import { FakeWorker, type Verdict } from './support/fake-worker.js';
import { freshQueue, useRedis } from './support/redis.js';
import { until } from './support/script.js';

const redis = useRedis();
let env: Record<string, string>;
let folder: string;
let client: QueueClient;
let worker: FakeWorker | null;

beforeEach(() => {
  env = { VISIONZIP_HOME: redis.home, VISIONZIP_QUEUE: freshQueue() };
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'visionzip-runs-')));
  client = new QueueClient({ connection: redis.connection, queue: env.VISIONZIP_QUEUE });
  worker = null;
});
afterEach(async () => {
  await worker?.close();
  await client.close();
  rmSync(folder, { recursive: true, force: true });
});

const capitals = (job: AskJob) => ({
  answers: job.questions.map((question) => textOf(question).toUpperCase()),
});

function work(verdict: (job: AskJob) => Verdict): FakeWorker {
  worker = new FakeWorker(redis.connection, env.VISIONZIP_QUEUE!, verdict);
  return worker;
}

/** A gate that jobs wait at: each waits until it is opened. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

function writeRows(count: number, more: (i: number) => object = () => ({})): void {
  const rows = Array.from({ length: count }, (_, i) => ({
    ...{ id: i, video: `${i}.mp4`, question: `q${i}` },
    ...more(i),
  }));
  writeFileSync(join(folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

function batch(...args: string[]) {
  const out = join(folder, 'out.jsonl');
  return ['batch', join(folder, 'rows.jsonl'), '--out', out, '--in-flight', '1', '--run-id', 'one', ...args];
}

function ids(): number[] {
  const lines = readFileSync(join(folder, 'out.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line).id);
}

/** Resolves once the record of the run says so. */
async function said(isSo: (record: RunRecord) => boolean): Promise<RunRecord> {
  let record: RunRecord | null = null;
  await until(async () => {
    record = await client.run('one');
    return record !== null && isSo(record);
  });
  return record!;
}

describe('the record of a batch', () => {
  it('says at the end what became of its rows, and by which kind they were right', async () => {
    work((job) =>
      job.video.endsWith('2.mp4') || job.video.endsWith('4.mp4')
        ? { error: `${job.video} is no video`, fault: 'video' }
        : capitals(job),
    );
    const kinds = ['shape', 'shape', 'count', 'count', 'shape', 'count'];
    // Of the shapes 0 and 1 are answered rightly, of the counts 3 is and 5 is not; a row without a question fails by itself.
    writeRows(6, (i) => ({ kind: kinds[i], answer: i === 5 ? 'else' : `Q${i}` }));
    const path = join(folder, 'rows.jsonl');
    writeFileSync(path, `${readFileSync(path, 'utf8')}{"id": 6, "video": "a.mp4"}\n`);
    expect((await cli(batch('--tag', 'who=me'), env)).code).toBe(1);
    const record = (await client.run('one'))!;
    expect(record).toMatchObject({
      ...{ id: 'one', name: 'rows.jsonl', questions: path, out: join(folder, 'out.jsonl') },
      ...{ host: hostname(), model: 'nano', tags: { run: 'one', who: 'me' }, state: 'done' },
      ...{ total: 7, done: 4, doneBefore: 0, failed: 3, cancelled: 0, secondsLeft: 0 },
      accuracy: { right: 3, count: 4 },
      accuracyByKind: [
        { kind: 'count', right: 1, count: 2 },
        { kind: 'shape', right: 2, count: 2 },
      ],
    });
    const [videos, row] = record.failures;
    expect(videos).toEqual({
      ...{ fault: 'video', message: '… is no video', count: 2 },
      example: { row: 3, video: '2.mp4', error: `${join(folder, '2.mp4')} is no video` },
    });
    expect(row).toMatchObject({ fault: 'row', count: 1, example: { row: 7 } });
    const line = JSON.parse(readFileSync(join(folder, 'out.jsonl'), 'utf8').split('\n')[0]!);
    expect(record.settings).toBe(line.batch.settings);
  });

  it('is listed with the others, the latest first, and expires with the results', async () => {
    work(capitals);
    writeRows(3);
    await cli(batch(), env);
    await cli([...batch('--shard', '1/2'), '--out', join(folder, 'part.jsonl')], env);
    expect((await client.runs()).map(({ id }) => id)).toEqual(['one.1-of-2', 'one']);
    const listed = documentOf(await cli(['runs', '--json'], env)).runs as RunRecord[];
    expect(listed).toEqual(await client.runs());
    expect((await cli(['runs'], env)).stdout).toMatch(/one\s.*rows\.jsonl.*done .* ago.*3\/3/);
    const own = new Redis(redis.socket);
    const keys = await own.keys(`${defaultPrefix}:${env.VISIONZIP_QUEUE}:run*`);
    expect(keys).toHaveLength(3); // Two records and their index: what the runs were asked to do is gone.
    for (const key of keys) expect(await own.ttl(key)).toBeGreaterThan(6 * 24 * 3600);
    own.disconnect();
  });

  it('says while the batch goes on how far it is', async () => {
    const { open, opened } = gate();
    work((job) => (job.video.endsWith('2.mp4') ? { ...capitals(job), until: () => opened } : capitals(job)));
    writeRows(4);
    const { ended } = startCli(batch(), env);
    const record = await said(({ done }) => done >= 2);
    expect(record).toMatchObject({ state: 'running', total: 4, doneBefore: 0 });
    expect(record.rowsPerMinute).toBeGreaterThan(0);
    expect(record.secondsLeft).toBeGreaterThan(0);
    open();
    expect((await ended).code).toBe(0);
  });

  it('is not kept of a batch that runs without the queue', async () => {
    writeRows(1, () => ({ question: ' ' }));
    expect((await cli(batch('--local'), env)).code).toBe(1);
    expect(await client.runs()).toEqual([]);
  });
});

const silent: RunRecord = {
  ...{ id: 'one', name: 'rows.jsonl', questions: '/rows.jsonl', out: '/out.jsonl', host: 'h', pid: 1 },
  ...{ model: 'nano', settings: 's', tags: { run: 'one' }, state: 'running' },
  ...{ startedAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-01-01T00:00:00.000Z' },
  ...{ total: 2, done: 0, doneBefore: 0, failed: 0, cancelled: 0, failures: [] },
  ...{ accuracy: { right: 0, count: 0 }, accuracyByKind: [], rowsPerMinute: null, secondsLeft: null },
};

describe('a run without Redis', () => {
  it('goes on: nobody sees it, and nobody steers it', async () => {
    const away = new QueueClient({ connection: { url: 'redis://127.0.0.1:1' } });
    let stops = 0;
    const recorder = new RunRecorder({
      about: {
        ...{ id: 'one', name: 'rows.jsonl', questions: '/rows.jsonl', out: '/out.jsonl', host: 'h', pid: 1 },
        ...{ model: 'nano', settings: 's', tags: { run: 'one' } },
      },
      tally: new Tally(1, 0, { stderr: { isTTY: false, write: () => true } }),
      counts: new RunCounts(),
      report: (record) => away.reportRun(record),
      forget: () => away.controlRun('one', null),
      onStop: () => stops++,
    });
    await recorder.begin();
    expect(await recorder.mayGoOn(new AbortController().signal)).toBe(true);
    await recorder.end('done');
    expect(stops).toBe(0);
    await away.close();
  });
});

describe('a batch that is steered', () => {
  it('takes no rows while it is paused, and all of them afterwards', async () => {
    const { open, opened } = gate();
    const taken = work((job) => ({ ...capitals(job), until: () => opened }));
    writeRows(3);
    const { ended, stderrHas } = startCli(batch(), env);
    await taken.took(1);
    expect((await cli(['runs', 'pause', 'one'], env)).stdout).toBe(
      'the run takes no more rows until it is resumed\n',
    );
    await stderrHas('paused: no more rows are taken for now');
    open(); // What is under way finishes.
    const paused = await said(({ state, done }) => state === 'paused' && done === 1);
    const later = await said(({ updatedAt }) => updatedAt > paused.updatedAt);
    expect(later).toMatchObject({ state: 'paused', done: 1 });
    expect(taken.jobs).toHaveLength(1);
    expect(await client.controlRun('one', null)).toBe('requested');
    expect((await ended).code).toBe(0);
    expect(ids()).toEqual([0, 1, 2]);
    expect(await client.run('one')).toMatchObject({ state: 'done', done: 3 });
  });

  it('ends with the jobs under way when it drains, and goes on by the same command', async () => {
    const { open, opened } = gate();
    const taken = work((job) => ({ ...capitals(job), until: () => opened }));
    writeRows(3);
    const { ended, stderrHas } = startCli(batch('--json'), env);
    await taken.took(1);
    await cli(['runs', 'drain', 'one'], env);
    await stderrHas('draining: no more rows are taken');
    await said(({ state }) => state === 'draining');
    const resumed = await cli(['runs', 'resume', 'one'], env);
    expect(resumed.stdout).toBe('the run was asked to drain before: it takes no more rows\n');
    open();
    const run = await ended;
    const error = 'drained: 2 rows not asked; the same command goes on with them';
    expect([run.code, documentOf(run)]).toEqual([130, { error, fault: null, exitCode: 130 }]);
    expect(ids()).toEqual([0]);
    expect(await client.run('one')).toMatchObject({ state: 'stopped', done: 1, total: 3 });
    expect(await client.controlRun('one', 'pause')).toBe('finished');
    expect((await cli(batch(), env)).code).toBe(0);
    expect(await client.run('one')).toMatchObject({ state: 'done', done: 3, doneBefore: 1 });
    expect(taken.jobs).toHaveLength(3);
  });

  it('cancels what is under way when it is stopped, also while it is paused', async () => {
    const taken = work(() => 'never');
    writeRows(2);
    const { ended } = startCli(batch(), env);
    await taken.took(1);
    await client.controlRun('one', 'pause');
    await said(({ state }) => state === 'paused');
    await client.controlRun('one', 'stop');
    const run = await ended;
    expect([run.code, run.stderr]).toEqual([
      130,
      expect.stringContaining('stopped by `visionzip runs stop`'),
    ]);
    expect(await client.run('one')).toMatchObject({ state: 'stopped', done: 0, total: 2 });
    const own = new Redis(redis.socket);
    const [cancelled] = await own.keys(keysOf(defaultPrefix, env.VISIONZIP_QUEUE!).cancel('*'));
    expect(cancelled).toBeDefined();
    own.disconnect();
  });

  it('minds nothing that was asked of a process that was killed', async () => {
    const first = work(() => 'never');
    writeRows(1);
    const { child, ended } = startCli(batch(), env);
    await first.took(1);
    child.kill('SIGKILL');
    await ended;
    expect(await client.controlRun('one', 'drain')).toBe('requested'); // Nobody can know that it is dead.
    await first.close();
    env.VISIONZIP_QUEUE = freshQueue();
    work(capitals);
    const before = new QueueClient({ connection: redis.connection, queue: env.VISIONZIP_QUEUE });
    await before.reportRun({ ...(await client.run('one'))! });
    await before.controlRun('one', 'drain');
    expect((await cli(batch(), env)).code).toBe(0);
    await before.close();
  });

  it('is asked nothing weaker than before, and says so of one that is silent', async () => {
    const own = new Redis(redis.socket);
    const keys = keysOf(defaultPrefix, env.VISIONZIP_QUEUE!);
    await client.reportRun({ ...silent, updatedAt: new Date(Date.now() - 60_000).toISOString() });
    const asked: (string | null)[] = [];
    for (const what of ['pause', 'stop', 'drain', 'pause'] as const) {
      expect(await client.controlRun('one', what)).toBe('requested');
      asked.push(await own.get(keys.runControl('one')));
    }
    own.disconnect();
    expect(asked).toEqual(['pause', 'stop', 'stop', 'stop']);
    expect((await cli(['runs', 'stop', 'one'], env)).stdout).toMatch(
      /^the run stops, if it is still there: it has said nothing for 1 min/,
    );
  });

  it('is not begun while another one of its id goes on, and goes on where that one was killed', async () => {
    const taken = work(capitals);
    writeRows(1);
    const speak = () => client.reportRun({ ...silent, updatedAt: new Date().toISOString() });
    await speak();
    const speaking = setInterval(speak, 500);
    const refused = await cli(batch(), env).finally(() => clearInterval(speaking));
    expect([refused.code, refused.stderr]).toEqual([
      2,
      expect.stringContaining('the run one goes on in process 1 on h: '),
    ]);
    expect(taken.jobs).toEqual([]);
    await speak();
    expect((await cli(batch(), env)).code).toBe(0);
    await client.reportRun(silent);
    writeRows(2);
    expect((await cli(batch(), env)).stderr).toContain('1 there before');
  });

  it('is not found by a wrong id', async () => {
    const run = await cli(['runs', 'stop', 'nobody'], env);
    expect([run.code, run.stderr]).toEqual([
      1,
      'visionzip: no run has the id "nobody"; see visionzip runs\n',
    ]);
    expect((await cli(['runs', 'stop'], env)).code).toBe(2);
    expect((await cli(['runs', 'begin', 'one'], env)).code).toBe(2);
  });
});

describe('records of other versions', () => {
  it('are read with what this one does not know; what cannot be read is left out', async () => {
    const own = new Redis(redis.socket);
    const keys = keysOf(defaultPrefix, env.VISIONZIP_QUEUE!);
    const record = {
      ...{ id: 'later', name: 'a', questions: '/a', out: '/b', host: 'h', pid: 1, model: 'nano' },
      ...{ settings: 's', tags: { run: 'later' }, state: 'sleeping', novelty: 1 },
      ...{ startedAt: '2026-01-01T00:00:00.000Z', updatedAt: '2026-01-01T00:00:00.000Z' },
      ...{ total: null, done: 0, doneBefore: 0, failed: 0, cancelled: 0, failures: [] },
      ...{ accuracy: { right: 0, count: 0, of: 3 }, accuracyByKind: [] },
      ...{ rowsPerMinute: null, secondsLeft: null },
    };
    await writeRun(own, keys, record as unknown as RunRecord, 100);
    await own.set(keys.run('torn'), '{"id":');
    await own.zadd(keys.runs, Date.parse(record.updatedAt) + 1, 'torn');
    expect(await listRuns(own, keys)).toEqual([record]);
    expect(await readRun(own, keys, 'torn')).toBeNull();
    expect(await controlRun(own, keys, 'torn', 'stop', 100)).toBe('unknown');
    expect((await cli(['runs'], env)).stdout).toMatch(/later.*sleeping, silent for .*0\/\?/);
    own.disconnect();
  });
});
