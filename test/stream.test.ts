import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { QueueClient, Result, StreamEvent } from '../queues/index.js';
import { keysOf } from '../queues/options.js';
import { readText, sayListening, TextWriter } from '../queues/text.js';
import { startWorker } from '../src/workers/worker.js';
import { useRedis } from './support/redis.js';
import { callsOf, until } from './support/script.js';
import { Bench } from './support/worker.js';

const redis = useRedis();
let bench: Bench;

function open(overrides = {}): Bench {
  bench = new Bench(redis.home, redis.connection, overrides);
  return bench;
}

afterEach(() => bench.close());

/** Listens from now on; `events` grows. */
function listen(client: QueueClient, id: string) {
  const events: StreamEvent[] = [];
  const ended = (async () => {
    for await (const event of client.stream(id)) events.push(event);
  })();
  ended.catch(() => {});
  return { events, ended };
}

const textOf = (events: readonly StreamEvent[]) =>
  events.map((event) => (event.type === 'text' ? event.text : '')).join('');

/** One that says "re", and "d" once the gate is open. */
function redVideo(name = 'a.mp4', gate = join(bench.dir, 'gate')) {
  const reply = { text: 'red', say: ['r', 'e', 'd'], gate };
  return { gate, video: bench.video(name, reply), reply };
}

const ask = (video: string, questions: string | string[] = 'what?') => bench.client.ask({ video, questions });

/** A job that was heard to say "re" and says the rest once `finish` was called. */
async function halfway() {
  open();
  const { gate, video } = redVideo();
  const id = await ask(video);
  const { events, ended } = listen(bench.client, id);
  await bench.worker();
  await until(() => textOf(events) === 're');
  return { id, events, ended, finish: () => writeFileSync(gate, '') };
}

/** A job whose model has been called, and that nobody listens to yet. */
async function unheard() {
  open();
  const { gate, video } = redVideo();
  const id = await ask(video);
  await bench.worker();
  await until(() => callsOf(video).length === 1);
  return { id, finish: () => writeFileSync(gate, '') };
}

describe('a stream', () => {
  it('has the text while the job goes on, then the answer and the document', async () => {
    const { id, events, ended, finish } = await halfway();
    expect(await bench.client.result(id)).toBeNull();
    finish();
    await ended;
    const document = (await bench.client.result(id)) as Result;
    expect(textOf(events)).toBe('red');
    expect(events.slice(-2)).toEqual([
      { type: 'answer', question: 0, answer: document.answers[0] },
      { type: 'document', document },
    ]);
  });

  it('has all that was said before for who comes late, and for who comes after the end', async () => {
    const { id, finish, ...first } = await halfway();
    const second = listen(bench.client, id);
    await until(() => textOf(second.events) === 're');
    finish();
    await Promise.all([first.ended, second.ended]);
    const third = listen(bench.client, id);
    await third.ended;
    for (const { events } of [first, second, third]) expect(textOf(events)).toBe('red');
    expect(third.events.map(({ type }) => type)).toEqual(['text', 'answer', 'document']);
  });

  it('has all that was said before the first listener came', async () => {
    const { id, finish } = await unheard();
    const { events, ended } = listen(bench.client, id);
    await until(() => textOf(events) === 're');
    finish();
    await ended;
    expect(textOf(events)).toBe('red');
  });

  it('is not sent, nor kept, while nobody listens', async () => {
    const { id, finish } = await unheard();
    finish();
    await bench.client.wait(id);
    const admin = new Redis(redis.socket);
    try {
      expect(await admin.keys(`${bench.settings.prefix}:*:text:*`)).toEqual([]);
    } finally {
      admin.disconnect();
    }
  });

  it('leaves nothing in Redis that does not expire', async () => {
    const { id, ended, finish } = await halfway();
    const admin = new Redis(redis.socket);
    try {
      const { text, listening } = keysOf(bench.settings.prefix, bench.settings.queue);
      for (const key of [text(id), listening(id)]) expect(await admin.ttl(key)).toBeGreaterThan(0);
    } finally {
      admin.disconnect();
    }
    finish();
    await ended;
  });

  it('begins anew with another attempt, and says so', async () => {
    open();
    const gate = join(bench.dir, 'gate');
    const video = bench.video(
      'a.mp4',
      { say: ['gr', 'ee', 'n'], gate, die: undefined, fail: 'out of luck' },
      { text: 'red', say: ['re', 'd'] },
    );
    const id = await ask(video);
    const { events, ended } = listen(bench.client, id);
    await bench.worker();
    await until(() => textOf(events) === 'gree');
    writeFileSync(gate, '');
    await ended;
    const restart = events.findIndex(({ type }) => type === 'restart');
    expect(textOf(events.slice(0, restart))).toMatch(/^green?$/);
    expect(textOf(events.slice(restart))).toBe('red');
    expect(events.filter(({ type }) => type === 'restart')).toHaveLength(1);
  });

  it('says at once what was answered before, each by its place in the job', async () => {
    open();
    await bench.worker();
    const gate = join(bench.dir, 'gate');
    const reply = { text: 'red', say: ['re', 'd'], gate };
    const video = bench.video('a.mp4', { text: 'old' }, reply);
    await bench.client.wait(await ask(video, 'old?'));
    const id = await ask(video, ['new?', 'old?', 'new?']);
    const { events, ended } = listen(bench.client, id);
    await until(() => events.some((event) => event.type === 'text' && event.question === 0));
    writeFileSync(gate, '');
    await ended;
    const texts = [0, 1, 2].map((question) =>
      textOf(events.filter((event) => 'question' in event && event.question === question)),
    );
    expect(texts).toEqual(['red', 'old', 'red']);
    expect(events.filter(({ type }) => type === 'answer')).toHaveLength(3);
  });

  it('ends with what ended the job: a failure, a wish', async () => {
    open();
    const id = await ask(bench.video('a.mp4', { fail: 'not this', input: true }));
    const { events, ended } = listen(bench.client, id);
    await bench.worker();
    await ended;
    expect(events).toEqual([
      { type: 'document', document: expect.objectContaining({ status: 'failed', error: 'not this' }) },
    ]);
    const waiting = await ask(bench.video('b.mp4', { wait: true }));
    const other = listen(bench.client, waiting);
    await until(() => callsOf(join(bench.dir, 'b.mp4')).length === 1);
    await bench.client.cancel(waiting);
    await other.ended;
    expect(other.events.at(-1)).toMatchObject({ document: { status: 'cancelled' } });
  });

  it('ends by a signal, a time limit, a closed client and an unknown id, as `wait` does', async () => {
    open();
    const id = await ask(bench.video('a.mp4', { text: 'red' }));
    const first = (options = {}) => bench.client.stream(id, options).next();
    const reason = new Error('enough');
    await expect(first({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await expect(first({ timeoutMs: 20 })).rejects.toMatchObject({ name: 'TimeoutError' });
    await expect(bench.client.stream('none').next()).rejects.toMatchObject({ name: 'UnknownJobError' });
    const closed = expect(first()).rejects.toThrow('the queue client was closed');
    await new Promise((resolve) => setImmediate(resolve));
    await bench.client.close();
    await closed;
  });

  it('is sent again from its beginning where what was kept of it is gone', async () => {
    const { id, events, ended, finish } = await halfway();
    const { text } = keysOf(bench.settings.prefix, bench.settings.queue);
    const admin = new Redis(redis.socket);
    await admin.del(text(id));
    admin.disconnect();
    finish();
    await ended;
    const restart = events.findIndex(({ type }) => type === 'restart');
    expect(restart).toBeGreaterThan(0);
    const again = events.slice(restart + 1).filter((event) => event.type === 'text');
    expect(textOf(again)).toBe('red');
    // Heard from the worker, and not told by the document alone.
    expect(again.length).toBeGreaterThan(1);
  });

  it('is kept for as long as somebody listens', async () => {
    const { id, ended, finish } = await halfway();
    const { text } = keysOf(bench.settings.prefix, bench.settings.queue);
    const admin = new Redis(redis.socket);
    try {
      await admin.expire(text(id), 5);
      await until(async () => (await admin.ttl(text(id))) > 500);
    } finally {
      admin.disconnect();
    }
    finish();
    await ended;
  });

  it('is never taken over by an attempt that began earlier', async () => {
    const keys = keysOf(`attempts-${Date.now()}`, 'q');
    const admin = new Redis(redis.socket);
    try {
      await sayListening(admin, keys, 'a');
      const [first, second] = [1, 2].map((attempt) => new TextWriter(admin, keys, 'a', attempt));
      expect(await second!.write([{ question: 0, text: 'new' }])).toBe('heard');
      expect(await first!.write([{ question: 0, text: 'old' }])).toBe('replaced');
      expect((await readText(admin, keys, 'a', 0)).map((message) => message?.pieces)).toEqual([
        [{ question: 0, text: 'new' }],
      ]);
      const third = new TextWriter(admin, keys, 'a', 10);
      expect(await third.write([{ question: 0, text: 'newer' }])).toBe('heard');
      expect(await second!.write([{ question: 0, text: 'er' }])).toBe('replaced');
    } finally {
      admin.disconnect();
    }
  });

  it('may be left early, and goes on for others', async () => {
    open();
    const { gate, video } = redVideo();
    const id = await ask(video);
    const other = listen(bench.client, id);
    await bench.worker();
    for await (const event of bench.client.stream(id)) {
      expect(event).toMatchObject({ type: 'text' });
      break;
    }
    writeFileSync(gate, '');
    await other.ended;
    expect(textOf(other.events)).toBe('red');
  });
});

describe('a stream of the shipped model', () => {
  it('has every token of every answer', async () => {
    open({ modelDirs: [fileURLToPath(new URL('../models', import.meta.url))] });
    const clips = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
    await promisify(execFile)(process.execPath, [clips, '--count', '1', '--out', bench.dir]);
    const questions = ['What moves?', 'How many objects are there?'];
    const id = await ask(join(bench.dir, 'clip-000.mp4'), questions);
    const { events, ended } = listen(bench.client, id);
    const worker = await startWorker(bench.settings, pino({ level: 'silent' }));
    try {
      await ended;
    } finally {
      await worker.close();
    }
    const document = (await bench.client.result(id)) as Result;
    expect(document.status).toBe('completed');
    const texts = questions.map((_, question) =>
      textOf(events.filter((event) => 'question' in event && event.question === question)).trim(),
    );
    expect(texts).toEqual(document.answers.map(({ answer }) => answer));
    // Told in pieces, and not in one go by the document.
    expect(events.filter(({ type }) => type === 'text').length).toBeGreaterThan(2);
    expect(events.some(({ type }) => type === 'restart')).toBe(false);
  });
});

describe('a Redis that goes', () => {
  it('is waited for, and the stream goes on without a gap', async () => {
    const { events, ended, finish } = await halfway();
    process.kill(Number(readFileSync(join(redis.home, 'redis/pid'), 'utf8')), 'SIGKILL');
    await redis.start();
    finish();
    await ended;
    // Where it is away for longer than the job's lock, another attempt begins the text anew, and says so.
    const since = events.findLastIndex(({ type }) => type === 'restart') + 1;
    expect(textOf(events.slice(since))).toBe('red');
  });

  it('is told of at the start', async () => {
    open();
    const id = await ask(bench.video('a.mp4', { text: 'red' }));
    await redis.stop();
    try {
      const stream = bench.client.stream(id);
      await expect(stream.next()).rejects.toMatchObject({ name: 'RedisUnavailableError' });
    } finally {
      await redis.start();
    }
  });
});
