import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { AnswerReader, AnswerShortener, readTold, toldProgressSchema } from '../queues/answers.js';
import { type JobProgress, progressSchema, type Result, resultSchema } from '../queues/schemas.js';
import { tolerant } from '../queues/tolerant.js';
import { Telling } from '../src/workers/telling.js';
import { until } from './support/script.js';

const progress: JobProgress = {
  ...{ stage: 'generate', framesDone: 512, framesTotal: 512, answersDone: 1, answersTotal: 3 },
};
const frames = Array.from({ length: 512 }, (_, index) => ({ index, ptsSeconds: index / 3, tokens: 64 }));
const result = resultSchema.parse(
  JSON.parse(readFileSync(new URL('./fixtures/result.json', import.meta.url), 'utf8')),
);
const documents = ['red', 'green', 'blue'].map((answer, i): Result => {
  const answers = [{ ...result.answers[0]!, answer }];
  return resultSchema.parse({ ...result, frames, answers, finishedAt: `2026-01-01T00:00:0${i}.000Z` });
});

function told(...documents: readonly Result[]): unknown[] {
  const shortener = new AnswerShortener();
  const events = documents.map((document) => ({ ...progress, ...shortener.shorten(document) }));
  for (const event of events) toldProgressSchema.parse(event); // Strict on what is written.
  return JSON.parse(JSON.stringify(events));
}

function read(events: readonly unknown[]): (Result | null)[] {
  const reader = new AnswerReader();
  return events.map((event) => reader.read(readTold(event)!));
}

describe('answers in progress events', () => {
  it('are the same documents for who reads them', () => {
    expect(read(told(...documents))).toEqual(documents);
  });

  it('take a whole document once', () => {
    const [first, ...others] = told(...documents).map((event) => JSON.stringify(event).length);
    expect(first).toBeGreaterThan(20_000);
    for (const bytes of others) expect(bytes).toBeLessThan(1_500);
  });

  it('come in a whole document again where more than the answer differs', () => {
    const [one, two, three] = documents as [Result, Result, Result];
    const damaged = { ...two.video, warnings: [{ kind: 'damaged' as const, message: '1 frame is damaged' }] };
    const some = [one, { ...two, video: damaged }, { ...three, video: damaged }];
    expect(read(told(...some))).toEqual(some);
  });

  it('are left out by who missed the whole document', () => {
    const [, ...later] = told(...documents);
    expect(read(later)).toEqual([null, null]);
  });

  it('stay progress for readers of the version before, which hear the first', () => {
    const before = tolerant(progressSchema);
    const heard = told(...documents).map((event) => before.parse(event) as JobProgress);
    expect(heard.map(({ answered }) => answered?.answers[0]?.answer)).toEqual(['red', undefined, undefined]);
  });

  it('of workers of the version before are heard', () => {
    expect(read(documents.map((answered) => ({ ...progress, answered })))).toEqual(documents);
  });
});

describe('a worker that tells how a job goes on', () => {
  function open(send: (told: unknown) => Promise<unknown> = async () => {}) {
    const sent: unknown[] = [];
    const telling = new Telling(async (told) => {
      await send(told);
      sent.push(told);
    });
    return { telling, sent, ...telling.listeners };
  }

  it('tells answers at once, also those that are left at the end', async () => {
    const { telling, sent, onProgress, onAnswer } = open();
    onProgress(progress);
    onAnswer(documents[0]!);
    await until(() => sent.length === 2);
    onAnswer(documents[1]!);
    onAnswer(documents[2]!);
    await telling.end();
    expect(read(sent)).toEqual([null, ...documents]);
  });

  it('tells of many reports the first, and the latest when it is time', async () => {
    const { telling, sent, onProgress } = open();
    const report = (framesDone: number) => onProgress({ ...progress, stage: 'encode', framesDone });
    for (let frame = 1; frame <= 512; frame++) {
      report(frame);
      if (frame % 8 === 0) await new Promise(setImmediate);
    }
    await until(() => sent.length > 1);
    expect(sent[0]).toMatchObject({ framesDone: 1 });
    expect(sent.at(-1)).toMatchObject({ framesDone: 512 });
    expect(sent.length).toBeLessThan(20);
    await telling.end();
  });

  it('tells no report any more when the job has ended', async () => {
    const { telling, sent, onProgress } = open();
    onProgress(progress);
    onProgress({ ...progress, answersDone: 2 });
    await telling.end();
    expect(sent).toEqual([progress]);
  });

  it('tells a whole document again after one that could not be sent', async () => {
    let isDown = false;
    const { telling, sent, onProgress, onAnswer } = open(async () => {
      if (isDown) throw new Error('it is down');
    });
    onProgress(progress);
    await until(() => sent.length === 1);
    isDown = true;
    onAnswer(documents[0]!);
    await new Promise(setImmediate);
    isDown = false;
    onAnswer(documents[1]!);
    onAnswer(documents[2]!);
    await telling.end();
    expect(read(sent)).toEqual([null, documents[1], documents[2]]);
  });
});
