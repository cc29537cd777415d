import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Result, resultSchema } from '../queues/index.js';
import { ffmpeg, h264, temporaryFolder, testPattern } from './media.js';
import { cli, documentOf, type RunningCli, startCli } from './support/cli.js';
import { freshQueue, useRedis } from './support/redis.js';

// The shipped model, in processes of its own. What it answers is measured elsewhere; here answers must only agree.
const folder = temporaryFolder();
const redis = useRedis();
const clip = join(folder, 'clip.mp4');
const wide = join(folder, 'wide.mp4');

beforeAll(async () => {
  const clips = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
  await promisify(execFile)(process.execPath, [clips, '--seed', '5', '--count', '1', '--out', folder]);
  await promisify(execFile)('mv', [join(folder, 'clip-000.mp4'), clip]);
  await ffmpeg(...testPattern(320, 180, 10, 2), ...h264(), wide);
});

const questions = ['How many objects are there?', 'What moves?'];

async function ask(...args: string[]): Promise<Result> {
  const run = await cli(['ask', clip, ...args, '--json']);
  expect([run.code, run.stderr]).toEqual([0, '']);
  return resultSchema.parse(documentOf(run));
}

describe('visionzip ask', () => {
  it('prints the same answers as text and as a document, and the same each time', async () => {
    const document = await ask(...questions);
    const text = await cli(['ask', clip, ...questions]);
    expect([text.code, text.notices]).toEqual([0, 1]);
    expect(text.stdout).toBe(
      document.answers.map(({ question, answer }) => `${question}\n${answer}\n\n`).join(''),
    );
    expect(text.stderr).toContain(`tokens  ${document.tokens.before} → ${document.tokens.after}`);
    expect(text.stderr).toMatch(/time {4}\S+ m?s: longest \w+ \S+ m?s, then .*; first token after/);
    expect(text.stderr).toMatch(/\bload \S+ m?s/);
    expect((await cli(['ask', clip, questions[1]!])).stdout).toBe(`${document.answers[1]!.answer}\n`);
  });

  it('passes every option on', async () => {
    const sampling = ['--frames', '3', '--start', '0:00.5', '--end', '1.5'];
    const generation = [
      '--max-new-tokens',
      '2',
      '--temperature',
      '0.7',
      '--top-k',
      '9',
      '--top-p',
      '0.8',
      '--generation',
      'model',
      '--repetition-penalty',
      '1.2',
      '--seed',
      '4',
    ];
    const document = await ask(
      'What moves?',
      ...sampling,
      ...generation,
      '--stop',
      '.',
      '--compression',
      '9+2',
      '--over-time',
      'windows=keep',
      '--strict',
    );
    expect(document.settings).toEqual({
      sampling: { frames: 3, startSeconds: 0.5, endSeconds: 1.5 },
      compression: { dominant: 9, contextual: 2 },
      overTime: { windows: 'keep' },
      strict: true,
      generation: {
        ...{ defaults: 'model', maxNewTokens: 2, temperature: 0.7, topK: 9, topP: 0.8 },
        ...{ repetitionPenalty: 1.2, seed: 4, stop: ['.'] },
      },
    });
    expect(document.frames).toHaveLength(3);
    expect(document.tokens.after).toBe(33);
  });

  it('answers several videos with one model, and a bad one fails alone', async () => {
    const bad = join(folder, 'bad.mp4');
    writeFileSync(bad, 'no video');
    const pictures = join(folder, 'pictures', 'of-several');
    const args = ['ask', clip, bad, wide, ...questions, '--frames', '2', '--json', '--save-frames', pictures];
    const run = await cli(args);
    const documents = run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(documents.map(({ video, status }) => [video.path, status])).toEqual([
      [clip, 'completed'],
      [bad, 'failed'],
      [wide, 'completed'],
    ]);
    expect([run.code, run.stderr]).toEqual([1, expect.stringMatching(/^visionzip: \S+bad\.mp4: [^\n]+\n$/)]);
    expect(resultSchema.parse(documents[2]).answers.map(({ question }) => question)).toEqual(questions);
    expect(readdirSync(join(pictures, 'wide.mp4'))).toHaveLength(2);
    const again = await cli(args);
    expect([again.code, again.stderr]).toEqual([
      2,
      expect.stringContaining('expected a folder without pictures'),
    ]);
  });

  it('takes the model of VISIONZIP_MODEL where none is named', async () => {
    const run = await cli(['ask', clip, 'What?'], { VISIONZIP_MODEL: 'absent' });
    expect([run.code, run.stderr]).toEqual([2, expect.stringContaining('models/absent')]);
  });

  it('saves a picture of each frame', async () => {
    const pictures = join(folder, 'pictures', 'of-wide');
    const run = await cli(['ask', wide, 'What?', '--frames', '3', '--save-frames', pictures, '--json']);
    const { frames } = resultSchema.parse(documentOf(run));
    const names = frames.map(({ ptsSeconds }, i) => `frame-000${i}-${ptsSeconds.toFixed(3)}s.png`);
    expect(readdirSync(pictures).sort()).toEqual(names);
    const signature = readFileSync(join(pictures, names[0]!)).subarray(1, 4);
    expect(signature.toString()).toBe('PNG');
  });

  it('takes a model by the path of its folder', async () => {
    const models = fileURLToPath(new URL('../models/nano', import.meta.url));
    const document = await ask('What moves?', '--model', models);
    expect(document.model.name).toBe((await ask('What moves?')).model.name);
  });

  it.each([
    ['a missing file', 'absent.mp4'],
    ['a text', 'text.mp4'],
    ['a folder', '.'],
  ])('fails on %s in one sentence, with exit code 1', async (_, name) => {
    writeFileSync(join(folder, 'text.mp4'), 'no video\n');
    const run = await cli(['ask', name, 'What?', '--json'], {}, folder);
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^visionzip: [^\n]+\n$/);
    expect(documentOf(run)).toMatchObject({ status: 'failed', error: expect.any(String) });
  });

  it('gives the document that a worker gives', async () => {
    const env = { VISIONZIP_HOME: redis.home, VISIONZIP_QUEUE: freshQueue(), VISIONZIP_VIDEO_DIRS: folder };
    const worker = startCli(['worker'], env);
    try {
      const run = await cli(['enqueue', clip, ...questions, '--wait', '--json'], env);
      const queued = resultSchema.parse(documentOf(run));
      const local = await ask(...questions);
      // Without a queue there is no worker, and nowhere to keep what was seen.
      const rest = ({
        id,
        timings,
        finishedAt,
        answers,
        reused,
        worker,
        attempt,
        sight,
        ...others
      }: Result) => ({
        ...others,
        answers: answers.map(({ startedMs, prefillMs, generateMs, ...answer }) => answer),
      });
      expect(rest(local)).toEqual(rest(queued));
      expect([queued.worker, queued.attempt, queued.sight]).not.toContain(undefined);
    } finally {
      worker.child.kill('SIGTERM');
    }
    expect((await worker.ended).code).toBe(0);
  });

  it('stops on Ctrl-C with exit code 130 and leaves no process behind', async () => {
    const running = startCli(['ask', clip, 'What moves?', '--json']);
    const child = await modelProcessOf(running);
    running.child.kill('SIGINT');
    const run = await running.ended;
    expect([run.code, run.stderr]).toEqual([130, 'visionzip: interrupted\n']);
    expect(documentOf(run)).toEqual({ error: 'interrupted', fault: null, exitCode: 130 });
    expect(isAlive(child)).toBe(false);
  });

  it('answers also when nobody reads what it tells beside the answer', async () => {
    const running = startCli(['ask', clip, 'What moves?']);
    running.child.stderr!.destroy();
    const { code, stdout } = await running.ended;
    expect(code).toBe(0);
    expect(stdout).not.toBe('');
  });

  it('leaves no process behind when it is killed', async () => {
    const running = startCli(['ask', clip, 'What moves?']);
    const child = await modelProcessOf(running);
    running.child.kill('SIGKILL');
    await running.ended;
    while (isAlive(child)) await pause(20);
  });
});

describe('visionzip batch --local', () => {
  it('answers without Redis as ask does', async () => {
    const rows = [clip, 'absent.mp4', clip].map((video, i) => ({ id: i, video, question: questions[i % 2] }));
    const file = join(folder, 'rows.jsonl');
    const out = join(folder, 'out.jsonl');
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const run = await cli(['batch', file, '--out', out, '--local', '--json'], {
      REDIS_URL: 'redis://127.0.0.1:1',
    });
    expect(run.code).toBe(1);
    expect(documentOf(run)).toMatchObject({ rows: 3, completed: 2, failed: 1, jobs: 2 });
    const { answers } = await ask(questions[0]!);
    const written = readFileSync(out, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(written.find(({ id }) => id === 0)).toMatchObject({
      prediction: answers[0]!.answer,
      status: 'completed',
    });
    expect(written.find(({ id }) => id === 1)).toMatchObject({ prediction: null, status: 'failed' });
  });

  it('answers the same whatever the format, in several processes, too', async () => {
    const rows = [clip, 'other.mp4', clip].map((video, i) => [video, questions[i % 2]!.replaceAll(',', ' ')]);
    copyFileSync(clip, join(folder, 'other.mp4'));
    const objects = rows.map(([video, question]) => ({ video, question }));
    writeFileSync(join(folder, 'same.json'), JSON.stringify({ rows: objects }));
    writeFileSync(
      join(folder, 'same.csv'),
      `video,question\n${rows.map((row) => row.join(',')).join('\n')}\n`,
    );
    const answer = async (file: string, ...args: string[]) => {
      const out = join(folder, `${file}.out`);
      const run = await cli(['batch', join(folder, file), '--out', out, '--local', '--json', ...args]);
      expect(documentOf(run)).toMatchObject({ completed: 3, jobs: 2 });
      const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
      return lines.map((line) => ({ ...JSON.parse(line), run: undefined }));
    };
    expect(await answer('same.csv', '--in-flight', '2')).toEqual(await answer('same.json'));
  });

  it('asks of each row the part of the video that it names, and writes the rows into a pipe', async () => {
    const file = join(folder, 'parts.jsonl');
    const rows = [{ start: 0.5, end: '0:01' }, {}, { start: 3, end: 2 }, { frames: 3 }, { fps: 3 }];
    writeFileSync(
      file,
      rows.map((row) => `${JSON.stringify({ video: clip, question: 'What?', ...row })}\n`).join(''),
    );
    const run = await cli(['batch', file, '--out', '-', '--local', '--limit', '4']);
    expect(run.stderr).toContain("the rows' `fps` is carried through and not read");
    expect(run.stderr).toContain('4 rows: 3 answered, 1 failed (1 row) in');
    const written = run.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    const of = (row: number) => written.find(({ batch }) => batch.row === row);
    expect(written).toHaveLength(4);
    expect(of(3).run.frames).toBe(3);
    expect(of(2)).toMatchObject({
      status: 'failed',
      error: "the row's end, 2 s, must be behind its start, 3 s",
    });
    const whole = await ask('What?');
    const part = await ask('What?', '--start', '0.5', '--end', '1');
    expect([of(0).prediction, of(0).run.tokens]).toEqual([part.answers[0]!.answer, part.tokens]);
    expect([of(1).prediction, of(1).run.tokens]).toEqual([whole.answers[0]!.answer, whole.tokens]);
  });

  it('waits for the reader of a named pipe, and stops waiting on Ctrl-C', async () => {
    const pipe = join(folder, 'pipe');
    await promisify(execFile)('mkfifo', [pipe]);
    const file = join(folder, 'one.jsonl');
    writeFileSync(file, `${JSON.stringify({ video: clip, question: 'What?' })}\n`);
    const args = ['batch', file, '--out', pipe, '--local'];
    const unread = startCli(args);
    await unread.stderrHas('cannot be gone on with');
    unread.child.kill('SIGINT');
    expect((await unread.ended).code).toBe(130);
    const read = promisify(execFile)('cat', [pipe]);
    expect((await cli(args)).code).toBe(0);
    expect(JSON.parse((await read).stdout)).toMatchObject({ status: 'completed', run: { job: 'local' } });
  });

  it('has written each answer that was whole when it is killed', async () => {
    const file = join(folder, 'killed.jsonl');
    const out = join(folder, 'killed-out.jsonl');
    const rows = Array.from({ length: 20 }, (_, i) => ({ video: clip, question: `What is number ${i}?` }));
    writeFileSync(file, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    const running = startCli(['batch', file, '--out', out, '--local']);
    const written = () => (existsSync(out) ? readFileSync(out, 'utf8').split('\n').slice(0, -1) : []);
    while (running.child.exitCode === null && written().length < 2) await pause(5);
    running.child.kill('SIGKILL');
    await running.ended;
    const times = written().map((line) => JSON.parse(line).run.timings.totalMs);
    expect(times.length).toBeGreaterThanOrEqual(2);
    // One job for all of them, but each row says how far it was then: had they waited for its end, all were the same.
    expect(new Set(times).size).toBe(times.length);
  });
});

/** The process that a running command has started, once it has. */
async function modelProcessOf({ child }: RunningCli): Promise<number> {
  for (;;) {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim();
    if (children !== '') return Number(children.split(' ')[0]);
    await pause(10);
  }
}

function isAlive(pid: number): boolean {
  return existsSync(`/proc/${pid}`) && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
}
