import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AskJob } from '../queues/index.js';
import { textOf } from '../src/pipeline/questions.js';
import { cli, documentOf, startCli } from './support/cli.js';
import { FakeWorker, type Verdict } from './support/fake-worker.js';
import { freshQueue, useRedis } from './support/redis.js';
import { until } from './support/script.js';

const main = fileURLToPath(new URL('../dist/src/cli/main.js', import.meta.url));
const redis = useRedis();
let env: Record<string, string>;
let worker: FakeWorker | null = null;
let folder: string;

beforeEach(() => {
  env = { VISIONZIP_HOME: redis.home, VISIONZIP_QUEUE: freshQueue() };
  folder = mkdtempSync(join(tmpdir(), 'visionzip-cli-batch-'));
});
afterEach(async () => {
  await worker?.close();
  worker = null;
  rmSync(folder, { recursive: true, force: true });
});

/** Answers each question with itself in capitals. */
const capitals = (job: AskJob) => ({
  answers: job.questions.map((question) => textOf(question).toUpperCase()),
});

function work(verdict: (job: AskJob) => Verdict): FakeWorker {
  worker = new FakeWorker(redis.connection, env.VISIONZIP_QUEUE!, verdict);
  return worker;
}

function writeRows(...rows: (readonly [video: string, question: string])[]): void {
  const lines = rows.map(([video, question], id) => JSON.stringify({ id, video, question }));
  writeFileSync(join(folder, 'rows.jsonl'), `${lines.join('\n')}\n`);
}

function batch(...args: string[]) {
  return [
    'batch',
    join(folder, 'rows.jsonl'),
    '--out',
    join(folder, 'out.jsonl'),
    '--in-flight',
    '1',
    ...args,
  ];
}

/** The rows of the output by their id, a line each. */
function output(): Record<string, unknown>[] {
  return readFileSync(join(folder, 'out.jsonl'), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
    .sort((a, b) => a.id - b.id);
}

describe('visionzip batch', () => {
  it('answers the rows about one video in one job, and carries their fields through', async () => {
    const taken = work(capitals);
    writeRows(['a.mp4', 'one'], ['b.mp4', 'two'], ['a.mp4', 'three'], ['a.mp4', 'one']);
    const run = await cli(batch('--json'), env);
    expect(run.code).toBe(0);
    expect(documentOf(run)).toEqual({
      rows: 4,
      skipped: 0,
      completed: 4,
      failed: 0,
      failures: {},
      waiting: 0,
      accuracy: null,
      jobs: 2,
      run: expect.stringMatching(/^[\da-f]{8}$/),
      out: join(folder, 'out.jsonl'),
    });
    expect(taken.jobs.map(({ video, questions }) => [video, questions])).toEqual([
      [join(folder, 'a.mp4'), ['one', 'three']],
      [join(folder, 'b.mp4'), ['two']],
    ]);
    expect(output()).toEqual(
      [
        [0, 'a.mp4', 'one'],
        [1, 'b.mp4', 'two'],
        [2, 'a.mp4', 'three'],
        [3, 'a.mp4', 'one'],
      ].map(([id, video, question]) => ({
        id,
        video,
        question,
        prediction: String(question).toUpperCase(),
        status: 'completed',
        run: expect.objectContaining({
          job: expect.stringMatching(/^[\da-f-]{36}$/),
          model: expect.objectContaining({ name: 'nano' }),
          frames: 16,
          tokens: { before: 2304, after: 272 },
          finishReason: 'stop',
          timings: expect.objectContaining({ totalMs: 1500 }),
        }),
        batch: expect.objectContaining({ row: id }),
      })),
    );
  });

  it('writes a row as its answer comes, while the others of its job are on their way', async () => {
    writeRows(['a.mp4', 'one'], ['a.mp4', 'two']);
    let during: unknown[] = [];
    work((job) => ({
      ...capitals(job),
      until: () =>
        until(() => {
          during = output();
          return during.length > 0;
        }),
    }));
    expect((await cli(batch(), env)).code).toBe(0);
    expect(during).toMatchObject([{ id: 0, prediction: 'ONE', run: { model: { name: 'nano' } } }]);
    expect(output()).toMatchObject([{ prediction: 'ONE' }, { prediction: 'TWO' }]);
  });

  it('goes on after a kill -9 without asking anything again, and lets no other in until then', async () => {
    writeRows(['a.mp4', 'one'], ['b.mp4', 'two'], ['c.mp4', 'three']);
    const first = work((job) => (job.video.endsWith('b.mp4') ? 'never' : capitals(job)));
    const { child, ended } = startCli(batch(), env);
    await first.took(2); // With one job in flight, the first row was written before the second was asked.
    const rival = await cli(batch(), env);
    expect([rival.code, rival.stderr]).toEqual([1, expect.stringContaining(`held by process ${child.pid}`)]);
    child.kill('SIGKILL');
    await ended;
    await first.close();
    expect(output().map(({ id }) => id)).toEqual([0]);

    env.VISIONZIP_QUEUE = freshQueue();
    const second = work(capitals);
    const run = await cli(batch('--json'), env);
    expect(documentOf(run)).toMatchObject({ rows: 3, skipped: 1, completed: 2 });
    expect(second.jobs.map(({ questions }) => questions)).toEqual([['two'], ['three']]);
    expect(output().map(({ prediction }) => prediction)).toEqual(['ONE', 'TWO', 'THREE']);
  });

  it('cancels what is under way on Ctrl-C, ends with exit code 130, and goes on later', async () => {
    writeRows(['a.mp4', 'one'], ['b.mp4', 'two']);
    const first = work((job) => (job.video.endsWith('b.mp4') ? 'never' : capitals(job)));
    const { child, ended } = startCli(batch('--json'), env);
    await first.took(2);
    child.kill('SIGINT');
    const run = await ended;
    expect(run.code).toBe(130);
    expect(run.stderr).toContain('2 rows: 1 answered, 0 failed, 1 not reached');
    expect(documentOf(run)).toEqual({ error: 'interrupted', fault: null, exitCode: 130 });
    expect(output().map(({ id }) => id)).toEqual([0]);
  });

  it('has nothing to do, and needs no Redis, when all rows are there', async () => {
    writeRows(['a.mp4', 'one']);
    work(capitals);
    await cli(batch(), env);
    const { code, stderr } = await cli(batch(), { REDIS_URL: 'redis://127.0.0.1:1' });
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining('1 row: 0 answered, 0 failed, 1 there before'),
    ]);
  });

  it('makes a row of what fails, ends with exit code 1, and tries it again the next time', async () => {
    writeRows(['a.mp4', 'one'], ['broken.mp4', 'two'], ['a.mp4', ' ']);
    const first = work((job) =>
      job.video.endsWith('broken.mp4') ? { error: 'it is broken' } : capitals(job),
    );
    const run = await cli(batch('--json'), env);
    expect(run.code).toBe(1);
    expect(documentOf(run)).toMatchObject({ completed: 1, failed: 2 });
    expect(output().map(({ status, prediction, error }) => [status, prediction, error])).toEqual([
      ['completed', 'ONE', undefined],
      ['failed', null, 'it is broken'],
      ['failed', null, 'the question is empty'],
    ]);
    expect((await cli(batch('--keep-failed'), env)).code).toBe(0);
    await first.close();

    env.VISIONZIP_QUEUE = freshQueue();
    work(capitals);
    expect((await cli(batch(), env)).code).toBe(1);
    expect(output().map(({ prediction }) => prediction)).toEqual(['ONE', 'TWO', null]);
  });

  it('finds the one question that fails the job of its video', async () => {
    const questions = ['one', 'two', 'very long', 'four', 'five'];
    writeRows(...questions.map((question): [string, string] => ['a.mp4', question]));
    work((job) =>
      job.questions.includes('very long')
        ? { error: 'the question is too long', fault: 'question' }
        : capitals(job),
    );
    expect((await cli(batch(), env)).code).toBe(1);
    expect(output().map(({ prediction, error }) => prediction ?? error)).toEqual([
      'ONE',
      'TWO',
      'the question is too long',
      'FOUR',
      'FIVE',
    ]);
  });

  it('asks no more of a video that cannot be read than once', async () => {
    writeRows(['a.mp4', 'one'], ['a.mp4', 'two'], ['a.mp4', 'three']);
    const taken = work(() => ({ error: 'no such file in questions/context' })); // Whatever folder it is in.
    await cli(batch(), env);
    expect(taken.jobs).toHaveLength(1);
    expect(output().map(({ error }) => error)).toEqual([
      'no such file in questions/context',
      'no such file in questions/context',
      'no such file in questions/context',
    ]);
  });

  it('keeps several jobs in flight, and no more than it is told', async () => {
    writeRows(['a.mp4', 'one'], ['b.mp4', 'two'], ['c.mp4', 'three']);
    const { child, ended, stderrHas } = startCli(batch('--in-flight', '2'), env);
    await stderrHas('no worker listens');
    const counts = async () =>
      documentOf(await cli(['status', '--json'], env)).counts as { prioritized: number };
    while ((await counts()).prioritized < 2);
    expect((await counts()).prioritized).toBe(2);
    child.kill('SIGINT');
    expect((await ended).code).toBe(130);
    expect((await counts()).prioritized).toBe(0); // They were cancelled.
  });
});

describe('a run of a batch', () => {
  const rows = Array.from({ length: 200 }, (_, id): [string, string] => [
    `${(id * 7) % 40}.mp4`,
    id % 50 === 3 ? ' ' : `what is ${id}?`,
  ]);

  /** The output but for what differs from run to run. */
  function stable(out = 'out.jsonl'): unknown[] {
    const lines = readFileSync(join(folder, out), 'utf8').trimEnd().split('\n');
    return lines.map((line) => ({ ...JSON.parse(line), run: undefined }));
  }

  it('that is killed three times ends in the file of one that is not', async () => {
    writeRows(...rows);
    const undisturbed = join(folder, 'whole.jsonl');
    const taken = work(capitals);
    const inFlight = ['--in-flight', '4'];
    expect((await cli([...batch(...inFlight), '--out', undisturbed], env)).code).toBe(1);
    const jobs = taken.jobs.length;
    const out = join(folder, 'out.jsonl');
    const count = () => (existsSync(out) ? readFileSync(out, 'utf8').split('\n').length - 1 : 0);
    for (const [i, upTo] of [20, 70, 120].entries()) {
      const moment = upTo + Math.floor(Math.random() * 40);
      const { child, ended } = startCli(batch(...inFlight), env);
      while (count() < moment && child.exitCode === null) await pause(1);
      child.kill('SIGKILL');
      await ended;
      if (i === 1) truncateSync(out, readFileSync(out).length - 30); // As a crash of the machine may leave it.
    }
    expect((await cli(batch(...inFlight), env)).code).toBe(1);
    expect(stable()).toEqual(stable('whole.jsonl'));
    expect(stable()).toHaveLength(200);
    const [run, whole] = [out, undisturbed].map(
      (path) => JSON.parse(readFileSync(`${path}.run.json`, 'utf8')).run,
    );
    expect(run).not.toBe(whole);
    // At most what was in flight was asked again: each time four jobs, of which one may have been written in part, and the torn row.
    const again = taken.jobs.slice(jobs);
    expect(again.reduce((sum, { questions }) => sum + questions.length, 0)).toBeLessThanOrEqual(
      196 + 3 * 4 * 5 + 1,
    );
    expect(new Set(again.map(({ tags }) => tags!.run))).toEqual(new Set([run]));
  });

  it('that finds the disk full says so, and goes on once there is room', async () => {
    writeRows(...rows);
    work(capitals);
    await cli([...batch(), '--out', join(folder, 'whole.jsonl')], env);
    // A limit on the size of files refuses a write as a full disk does: in the middle of it.
    const limited = ['-c', 'ulimit -f 40; exec "$0" "$@"', process.execPath, main, ...batch()];
    const options = { env: { ...process.env, ...env, NO_COLOR: '1' } };
    await expect(promisify(execFile)('bash', limited, options)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/cannot write .*out\.jsonl: EFBIG.*; run again, it goes on/),
    });
    const text = readFileSync(join(folder, 'out.jsonl'), 'utf8');
    expect(text.length).toBe(40 * 1024); // It ends in the middle of a row.
    expect((await cli(batch(), env)).code).toBe(1);
    expect(stable()).toEqual(stable('whole.jsonl'));
  });

  it('gives the same output for each format, and from standard input', async () => {
    work(capitals);
    const data = [0, 1, 2].map((id) => ({
      id: `r${id}`,
      video: `${id % 2}.mp4`,
      question: `what is ${id}?`,
    }));
    const cells = (delimiter: string) =>
      [Object.keys(data[0]!), ...data.map((row) => Object.values(row))]
        .map((values) => values.join(delimiter))
        .join('\n');
    const columnData = (['id', 'video', 'question'] as const).map((name) => ({
      name,
      data: data.map((row) => row[name]),
    }));
    const files = {
      'rows.jsonl': data.map((row) => JSON.stringify(row)).join('\n'),
      'rows.json': JSON.stringify({ data }, null, 2),
      'rows.csv': cells(','),
      'rows.tsv': cells('\t'),
      'rows.parquet': Buffer.from(parquetWriteBuffer({ columnData })),
    };
    const outputs = [];
    for (const [name, bytes] of Object.entries(files)) {
      writeFileSync(join(folder, name), bytes);
      await cli(['batch', join(folder, name), '--out', join(folder, `${name}.out`)], env);
      outputs.push(stable(`${name}.out`));
    }
    const piped = ['batch', '-', '--format', 'csv', '--out', join(folder, 'piped.out')];
    await cli(piped, env, folder, files['rows.csv']);
    outputs.push(stable('piped.out'));
    expect(outputs[0]).toMatchObject(data.map((row) => ({ ...row, prediction: row.question.toUpperCase() })));
    for (const output of outputs) expect(output).toEqual(outputs[0]);
  });

  it('asks the rows that it is told to, with the tags, the priority and the deadline that it is told', async () => {
    writeRows(['a.mp4', 'one'], ['b.mp4', 'two'], ['a.mp4', 'three'], ['c.mp4', 'four']);
    const taken = work((job) => (job.video.endsWith('c.mp4') ? { error: 'it is broken' } : capitals(job)));
    const asked = () => taken.jobs.splice(0).flatMap(({ questions }) => questions.map(textOf));
    const one = await cli(
      batch('--only', '3', '--id-field', 'id', '--debug', '--deadline', '1.5', '--tag', 'a=b'),
      env,
    );
    expect(taken.jobs).toMatchObject([
      { priority: 100, deadlineMs: 1500, tags: { a: 'b', run: expect.any(String) } },
    ]);
    expect([one.code, asked()]).toEqual([1, ['four']]);
    expect(one.stderr).toContain('"error": "it is broken"');
    const parts = ['1/2', '2/2'].map((part) => ['--shard', part, '--keep-failed', '--id-field', 'id']);
    const shards: string[][] = [];
    for (const part of parts) {
      await cli(batch(...part, '--priority', '7'), env);
      expect(taken.jobs.every(({ priority }) => priority === 7)).toBe(true);
      shards.push(asked());
    }
    expect(shards.flat().sort()).toEqual(['one', 'three', 'two']);
    expect(shards.some((shard) => shard.includes('one') && shard.includes('three'))).toBe(true);
    await cli(batch('--retry-failed', '--id-field', 'id'), env);
    expect(asked()).toEqual(['four']);
    expect(output().map(({ id, status }) => [id, status])).toEqual([
      [0, 'completed'],
      [1, 'completed'],
      [2, 'completed'],
      [3, 'failed'],
    ]);
    const nobody = await cli(batch('--only', '9', '--id-field', 'id'), env);
    expect([nobody.code, nobody.stderr]).toEqual([
      2,
      expect.stringContaining('--only 9: no row has this `id`'),
    ]);
  });

  it.each([
    [['--priority', '3000000'], '--priority: Too big: expected number to be <=2097152, got 3000000'],
    [['--deadline', '99999999999999999'], '--deadline: '],
    [
      Array.from({ length: 16 }, (_, i) => ['--tag', `t${i}=x`]).flat(),
      'expected up to 15 tags besides `run`, got "t15=x"',
    ],
  ])('refuses %j once, and asks nothing', async (args, message) => {
    writeRows(['a.mp4', 'one'], ['b.mp4', 'two']);
    const { code, stderr } = await cli(batch(...args), env);
    expect([code, stderr]).toEqual([2, expect.stringContaining(message)]);
    expect(existsSync(join(folder, 'out.jsonl'))).toBe(false);
  });

  it('finds videos by name in a folder, and says of a row what it looked for', async () => {
    mkdirSync(join(folder, 'videos', 'deep'), { recursive: true });
    for (const name of ['a.mp4', 'a.mkv', 'b.avi', 'c', 'deep/d.webm', 'deep/e.mp4', 'e.mp4.mp4'])
      writeFileSync(join(folder, 'videos', name), '');
    writeRows(['a', '1'], ['a.mkv', '2'], ['b', '3'], ['c', '4'], ['d', '5'], ['e.mp4', '6'], ['f', '7']);
    const taken = work(capitals);
    await cli(batch('--videos', join(folder, 'videos')), env);
    expect(taken.jobs.map(({ video }) => video.slice(folder.length + 8))).toEqual([
      ...['a.mp4', 'a.mkv', 'b.avi', 'c', 'deep/d.webm', 'e.mp4.mp4'],
    ]);
    expect(output()[6]).toMatchObject({
      fault: 'row',
      error: `no video "f" in ${join(folder, 'videos')} or a folder below it: looked for that name, and for it with .mp4, .mkv, .webm, .avi, .mov …`,
    });
  });
});
