import { on, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { resultSchema } from '../queues/index.js';
import { cli, documentOf, startCli } from './support/cli.js';
import { FakeWorker, type Verdict } from './support/fake-worker.js';
import { freshQueue, useRedis } from './support/redis.js';

const redis = useRedis();
let env: Record<string, string>;
let worker: FakeWorker | null = null;
let folder: string;

beforeEach(() => {
  env = { VISIONZIP_HOME: redis.home, VISIONZIP_QUEUE: freshQueue() };
  folder = mkdtempSync(join(tmpdir(), 'visionzip-cli-queue-'));
});
afterEach(async () => {
  await worker?.close();
  worker = null;
  rmSync(folder, { recursive: true, force: true });
});

function work(verdict: Verdict): FakeWorker {
  worker = new FakeWorker(redis.connection, env.VISIONZIP_QUEUE!, () => verdict);
  return worker;
}

async function enqueued(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli(['enqueue', ...args], env, folder);
  expect([code, stderr]).toEqual([0, '']);
  return stdout.trim();
}

describe('visionzip enqueue', () => {
  it('puts the whole job into the queue, with an absolute path', async () => {
    const taken = work({ answers: ['red', 'left'] });
    const options = '--fps 2 --max-frames 8 --start 0:01 --end 2.5 --compression 14+3 --max-new-tokens 9';
    const sampled = '--generation model --temperature 0.5 --top-k 5 --top-p 0.9 --repetition-penalty 1.2';
    const generation = `${sampled} --seed 3 --stop . --stop ; --model nano`;
    await enqueued('clip.mp4', 'What colour?', 'Which way?', ...options.split(' '), ...generation.split(' '));
    await taken.took(1);
    expect(taken.jobs).toEqual([
      {
        video: join(folder, 'clip.mp4'),
        questions: ['What colour?', 'Which way?'],
        sampling: { fps: 2, maxFrames: 8, startSeconds: 1, endSeconds: 2.5 },
        compression: { dominant: 14, contextual: 3 },
        generation: {
          ...{ defaults: 'model', maxNewTokens: 9, temperature: 0.5, topK: 5, topP: 0.9 },
          ...{ repetitionPenalty: 1.2, seed: 3, stop: ['.', ';'] },
        },
        model: 'nano',
      },
    ]);
  });

  it('takes a video whose name begins with "-" after "--"', async () => {
    const taken = work({ answers: ['red'] });
    await enqueued('--', '-clip $(x).mp4', 'What?');
    await taken.took(1);
    expect(taken.jobs[0]!.video).toBe(join(folder, '-clip $(x).mp4'));
  });

  it('prints the answer alone with --wait, and a summary beside it', async () => {
    work({ answers: ['red'] });
    const run = await cli(['enqueue', 'clip.mp4', 'What colour?', '--wait'], env);
    expect([run.code, run.stdout]).toEqual([0, 'red\n']);
    expect(run.stderr).toContain(
      '2304 → 272, 8.5× fewer (16 frames, 14 dominant + 3 contextual of 144 each)',
    );
  });

  it('makes a job of each of several videos, and prints their ids or their answers', async () => {
    const args = ['a.mp4', 'b.mp4', 'What?'];
    const ids = (await enqueued(...args)).split('\n');
    expect(new Set(ids).size).toBe(2);
    const taken = work({ answers: ['red'] });
    const run = await cli(['enqueue', ...args, '--wait'], env, folder);
    expect([run.code, run.stdout]).toEqual([0, 'a.mp4\nred\n\nb.mp4\nred\n']);
    expect(run.stderr).toMatch(/^visionzip: enqueued \S{36}\nvisionzip: enqueued \S{36}\n/);
    const names = taken.jobs.map(({ video }) => video.slice(folder.length + 1));
    expect(names).toEqual(['a.mp4', 'b.mp4', 'a.mp4', 'b.mp4']);
  });

  it('prints several answers below their questions', async () => {
    work({ answers: ['red', 'left'] });
    const { stdout } = await cli(['enqueue', 'clip.mp4', 'What colour?', 'Which way?', '--wait'], env);
    expect(stdout).toBe('What colour?\nred\n\nWhich way?\nleft\n\n');
  });

  it('prints the answer as it is generated with --follow, and as events with --json', async () => {
    let open = () => {};
    const opened = new Promise<void>((resolve) => {
      open = resolve;
    });
    work({ answers: ['red', 'left'], says: ['r', 'e'], until: () => opened });
    const { child, ended } = startCli(['enqueue', 'clip.mp4', 'What colour?', 'Which way?', '--follow'], env);
    let stdout = '';
    for await (const [chunk] of on(child.stdout!, 'data')) {
      stdout += chunk;
      if (stdout.endsWith('re')) break;
    }
    expect(stdout).toBe('What colour?\nre');
    open();
    const run = await ended;
    expect([run.code, run.stdout]).toEqual([0, 'What colour?\nred\n\nWhich way?\nleft\n\n']);
    expect(run.stderr).toMatch(/^visionzip: enqueued \S{36}\ntokens {2}2304 → 272/);
  });

  it('prints the events of a job with --follow and --json, of several videos with their names', async () => {
    work({ answers: ['red'] });
    const run = await cli(['enqueue', 'a.mp4', 'b.mp4', 'What?', '--follow', '--json'], env, folder);
    const lines = run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ video, type }) => [video.path.slice(folder.length + 1), type])).toEqual(
      ['a.mp4', 'b.mp4'].flatMap((name) => ['text', 'answer', 'document'].map((type) => [name, type])),
    );
  });

  it('fails with --follow as with --wait', async () => {
    work({ error: 'no luck', fault: 'video' });
    const run = await cli(['enqueue', 'clip.mp4', 'What?', '--follow'], env);
    expect([run.code, run.stdout, run.stderr]).toEqual([
      1,
      '',
      expect.stringMatching(/visionzip: no luck\n$/),
    ]);
  });

  it('says so when nobody works, and gives up after --timeout with exit code 4', async () => {
    const run = await cli(['enqueue', 'clip.mp4', 'What?', '--wait', '--timeout', '0.2', '--json'], env);
    expect(run.code).toBe(4);
    expect(run.stderr).toContain('no worker listens to the queue');
    expect(documentOf(run)).toEqual({
      error: expect.stringMatching(/is not finished after 0.2 s/),
      fault: null,
      exitCode: 4,
    });
  });

  it('ends with exit code 130 on Ctrl-C; the job stays', async () => {
    const { child, ended, stderrHas } = startCli(
      ['enqueue', 'clip.mp4', 'What?', '--wait', '--id', 'stays'],
      env,
    );
    await stderrHas('no worker listens');
    child.kill('SIGINT');
    const { code, stdout, stderr } = await ended;
    expect([code, stdout]).toEqual([130, '']);
    expect(stderr).toContain('visionzip: interrupted\n');
    expect((await cli(['result', 'stays'], env)).code).toBe(4);
  });

  it('enqueues an id once, and refuses it for another job', async () => {
    expect(await enqueued('clip.mp4', 'What?', '--id', 'mine')).toBe('mine');
    expect(await enqueued('clip.mp4', 'What?', '--id', 'mine')).toBe('mine');
    const status = documentOf(await cli(['status', '--json'], env));
    expect(status.counts).toMatchObject({ waiting: 1 });
    const other = await cli(['enqueue', 'clip.mp4', 'Which?', '--id', 'mine'], env, folder);
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('stands for another job')]);
    expect((await cli(['enqueue', 'clip.mp4', 'What?', '--id', '12'], env)).code).toBe(2);
  });
});

describe('visionzip result', () => {
  it('prints the whole document of a job with --json, and nothing else', async () => {
    work({ answers: ['red'] });
    const waited = await cli(
      ['enqueue', 'clip.mp4', 'What?', '--id', 'done', '--wait', '--json'],
      env,
      folder,
    );
    const looked = await cli(['result', 'done', '--json'], env);
    expect(resultSchema.parse(documentOf(looked))).toEqual(documentOf(waited));
    expect(looked.code).toBe(0);
    expect((await cli(['result', 'done'], env)).stdout).toBe('red\n');
  });

  it('of an unknown job fails with exit code 1', async () => {
    const { code, stdout, stderr } = await cli(['result', 'unknown'], env);
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toBe('visionzip: no job has the id "unknown"; results are kept for a limited time\n');
    expect((await cli(['result', 'unknown', '--wait'], env)).code).toBe(1);
  });

  it('of a job that failed is its error, with exit code 1', async () => {
    work({ error: 'clip.mp4 is not a video' });
    await cli(['enqueue', 'clip.mp4', 'What?', '--id', 'bad', '--wait'], env);
    const run = await cli(['result', 'bad', '--json'], env);
    expect([run.code, run.stderr]).toEqual([1, 'visionzip: clip.mp4 is not a video\n']);
    expect(documentOf(run)).toMatchObject({ id: 'bad', status: 'failed', error: 'clip.mp4 is not a video' });
  });
});

describe('visionzip cancel', () => {
  it('removes a job that waits; its result then has exit code 4', async () => {
    const id = await enqueued('clip.mp4', 'What?');
    expect(documentOf(await cli(['cancel', id, '--json'], env))).toEqual({ id, outcome: 'cancelled' });
    const run = await cli(['result', id, '--json'], env);
    expect(run.code).toBe(4);
    expect(documentOf(run)).toMatchObject({ id, status: 'cancelled' });
  });

  it('of a job that has finished says so, and of an unknown one fails', async () => {
    work({ answers: ['red'] });
    await cli(['enqueue', 'clip.mp4', 'What?', '--id', 'done', '--wait'], env);
    expect((await cli(['cancel', 'done'], env)).stdout).toBe('the job had finished before\n');
    expect((await cli(['cancel', 'unknown'], env)).code).toBe(1);
  });
});

describe('visionzip status', () => {
  it('counts jobs and names workers', async () => {
    await enqueued('clip.mp4', 'What?');
    work('never');
    await worker!.took(1);
    await enqueued('clip.mp4', 'What?');
    const { counts, workers, queue } = documentOf(await cli(['status', '--json'], env));
    expect(counts).toMatchObject({ active: 1, waiting: 1 });
    expect([workers, queue]).toEqual([[expect.anything()], env.VISIONZIP_QUEUE]);
    const { stdout } = await cli(['status'], env);
    expect(stdout).toContain('1 active');
    expect(stdout).toContain('1 waiting');
  });
});

describe('visionzip dashboard', () => {
  it('prints its address, serves the page, and ends on Ctrl-C', async () => {
    const { child, ended } = startCli(['dashboard', '--port', '0'], env);
    const [line] = await once(child.stdout!, 'data');
    expect((await fetch(String(line).trim())).status).toBe(200);
    const { port } = new URL(String(line).trim());
    const second = await cli(['dashboard', '--port', port], env);
    expect([second.code, second.stderr]).toEqual([2, expect.stringContaining('EADDRINUSE')]);
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 0, stderr: '' });
  });

  it('is refused on an address that others reach, unless there is a login', async () => {
    const open = await cli(['dashboard', '--port', '0', '--host', '0.0.0.0'], env);
    expect([open.code, open.stdout]).toEqual([2, '']);
    expect(open.stderr).toMatch(
      /^visionzip: others than this machine may reach the address 0\.0\.0\.0, .*\n$/,
    );
    const secret = 'basic:ada:short';
    const weak = await cli(['dashboard', '--port', '0'], { ...env, VISIONZIP_DASHBOARD_AUTH: secret });
    expect([weak.code, weak.stderr]).toEqual([
      2,
      expect.stringContaining('VISIONZIP_DASHBOARD_AUTH: expected'),
    ]);
    expect(weak.stderr).not.toContain('short');
    const base = await cli(['dashboard', '--base', 'a b'], env);
    expect([base.code, base.stderr]).toEqual([
      2,
      expect.stringContaining('expected a path such as /visionzip'),
    ]);
  });

  it('takes its options in place of the settings, and the login of the settings', async () => {
    const auth = { VISIONZIP_DASHBOARD_AUTH: 'bearer:abcdefgh', VISIONZIP_DASHBOARD_BASE: '/a' };
    const args = ['dashboard', '--port', '0', '--host', '0.0.0.0', '--base', '/b', '--read-only', '--json'];
    const { child, ended } = startCli(args, { ...env, ...auth });
    const [document] = await once(child.stdout!, 'data');
    const { url } = JSON.parse(String(document));
    expect(url).toMatch(/^http:\/\/localhost:\d+\/b\/$/);
    expect((await fetch(url, { redirect: 'manual' })).status).toBe(401);
    const headers = { authorization: 'Bearer abcdefgh' };
    const session = await (await fetch(`${url}api/session`, { headers })).json();
    expect(session).toMatchObject({ isReadOnly: true, queue: env.VISIONZIP_QUEUE });
    child.kill('SIGINT');
    expect(await ended).toMatchObject({ code: 0 });
  });
});
