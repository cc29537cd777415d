import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.js';
import type { Progress } from '../src/pipeline/types.js';
import { isAlive } from '../src/workers/lock.js';
import type { ModelOrder } from '../src/workers/messages.js';
import { ModelProcess } from '../src/workers/model-process.js';
import { callsOf, type Reply, scriptedChild, until, writeScript } from './support/script.js';

let dir: string;
let video: string;
let model: ModelProcess;

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'visionzip-'));
  video = join(dir, 'video');
  model = new ModelProcess({ entry: scriptedChild, abortGraceMs: 200 });
});
afterEach(async () => {
  await model.close();
  for (const { pid } of callsOf(video)) expect(isAlive(pid)).toBe(false);
  await rm(dir, { recursive: true, force: true });
});

/** Whether its parent, this process, has heard of its end. */
function isReaped(pid: number): boolean {
  try {
    return !process.kill(pid, 0);
  } catch {
    return true;
  }
}

/** A run of the next reply. */
function order(): ModelOrder {
  const limits = { maxBytes: 1, maxSeconds: 1, maxPixels: 1, decodeTimeoutMs: 1 };
  const request = {
    video,
    questions: ['what?'],
    sampling: {},
    compression: 'auto' as const,
    generation: {},
    limits,
  };
  return { modelDir: '/models/nano', modelDigest: 'abc', threads: 1, provider: 'cpu', request };
}

const script = (...replies: Reply[]) => writeScript(video, ...replies);

it('answers one run after the other in one process and passes progress on', async () => {
  script({ text: 'red', progress: 3 }, { text: 'blue' });
  const seen: Progress[] = [];
  const first = await model.run(order(), { onProgress: (progress) => seen.push(progress) });
  const second = await model.run(order());
  expect([first, second].map(({ answers }) => answers[0]?.answer)).toEqual(['red', 'blue']);
  expect(seen.map(({ framesDone }) => framesDone)).toEqual([1, 2, 3]);
  const [one, two] = callsOf(video);
  expect(one?.pid).toBe(two?.pid);
});

it('passes errors on with their kind and code', async () => {
  script({ fail: 'no video', input: true }, { fail: 'odd', code: 'EODD' });
  const input = await model.run(order()).catch((error: unknown) => error);
  expect(input).toBeInstanceOf(InputError);
  expect(input).toMatchObject({ message: 'no video' });
  const other = await model.run(order()).catch((error: unknown) => error);
  expect(other).not.toBeInstanceOf(InputError);
  expect(other).toMatchObject({ message: 'odd', code: 'EODD' });
});

it('says how a process died, and starts another for the next run', async () => {
  script({ die: 'SIGKILL' }, { die: 3, stderr: 'out of luck' }, { text: 'red' });
  await expect(model.run(order())).rejects.toThrow('the model process was killed by SIGKILL');
  await expect(model.run(order())).rejects.toThrow(
    'the model process ended with exit code 3; its last words:\nout of luck',
  );
  expect((await model.run(order())).answers[0]?.answer).toBe('red');
  expect(new Set(callsOf(video).map(({ pid }) => pid)).size).toBe(3);
});

it('starts another process after one was killed between two runs', async () => {
  script({ text: 'red' });
  await model.run(order());
  process.kill(callsOf(video)[0]!.pid, 'SIGKILL');
  await until(() => isReaped(callsOf(video)[0]!.pid));
  expect((await model.run(order())).answers[0]?.answer).toBe('red');
});

it('asks an aborted run to stop and keeps the process', async () => {
  script({ wait: true }, { text: 'red' });
  const controller = new AbortController();
  const reason = new Error('enough');
  const onProgress = () => controller.abort(reason);
  await expect(model.run(order(), { signal: controller.signal, onProgress })).rejects.toBe(reason);
  expect((await model.run(order())).answers[0]?.answer).toBe('red');
  const [one, two] = callsOf(video);
  expect(one?.pid).toBe(two?.pid);
});

it('aborts a run whose listener throws, and goes on', async () => {
  script({ hang: true }, { text: 'red' }, { text: 'blue' });
  const fault = new Error('the disk is full');
  const onProgress = () => {
    throw fault;
  };
  await expect(model.run(order(), { onProgress })).rejects.toBe(fault);
  expect(isAlive(callsOf(video)[0]!.pid)).toBe(false);
  await expect(model.run(order(), { onProgress })).rejects.toBe(fault); // Though it was done before it heard of that.
  expect((await model.run(order())).answers[0]?.answer).toBe('blue');
});

it('kills the whole process group of a run that does not stop', async () => {
  script({ hang: true }, { text: 'red' });
  const controller = new AbortController();
  const onProgress = () => controller.abort(new Error('enough'));
  await expect(model.run(order(), { signal: controller.signal, onProgress })).rejects.toThrow('enough');
  const { pid, spawned } = callsOf(video)[0]!;
  expect(isAlive(pid)).toBe(false);
  await until(() => !isAlive(spawned!));
  expect((await model.run(order())).answers[0]?.answer).toBe('red');
});

describe('the real model process', () => {
  const entry = fileURLToPath(new URL('../dist/src/workers/model-child.js', import.meta.url));

  it('is found when the tests run, and says which file of a model is missing', async () => {
    await model.close();
    model = new ModelProcess({ abortGraceMs: 200 });
    const seen: Progress[] = [];
    const missing = { ...order(), modelDir: join(dir, 'nano') };
    const error = await model
      .run(missing, { onProgress: (p) => seen.push(p) })
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toContain(join(dir, 'nano/visionzip.json'));
    expect(seen).toMatchObject([{ stage: 'load' }]);
  });

  it('ends with a worker that is killed, in the middle of a run', async () => {
    execFileSync('mkfifo', [join(dir, 'visionzip.json')]); // Loading this model never ends.
    const script = `
      import { fork } from 'node:child_process';
      const child = fork(${JSON.stringify(entry)}, { detached: true, execArgv: [], stdio: 'ignore' });
      child.once('message', () => console.log(child.pid));
      child.send(${JSON.stringify({ type: 'run', run: 1, order: { ...order(), modelDir: dir } })});
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const child = Number(String(await once(parent.stdout, 'data')));
    expect(isAlive(child)).toBe(true);
    parent.kill('SIGKILL');
    await until(() => !isAlive(child));
  });
});

it('does not begin a run whose signal is aborted', async () => {
  script({ text: 'red' });
  await expect(model.run(order(), { signal: AbortSignal.abort(new Error('late')) })).rejects.toThrow('late');
  expect(callsOf(video)).toEqual([]);
});
