import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { failedReasonOf } from '../../queues/documents.js';
import { jobName } from '../../queues/options.js';
import { stageNames } from '../../src/pipeline/timings.js';
import { createRandom, type Random } from '../clips/random.js';

export interface FilledQueue {
  readonly prefix: string;
  readonly queue: string;
  readonly jobs: number;
  /** When the last of them ended, in milliseconds since 1970. */
  readonly now: number;
}

/** Jobs that are written in one round trip. */
const batch = 1_000;
/** A night's pace: so many milliseconds between two jobs that end. */
const paceMs = 500;

const subjects = [
  'man',
  'woman',
  'child',
  'dog',
  'red car',
  'boat',
  'cyclist',
  'chef',
  'pianist',
  'goalkeeper',
];
const verbs = ['open', 'carry', 'throw', 'repair', 'paint', 'cut', 'show', 'follow', 'drop', 'lift'];
const things = ['door', 'box', 'ball', 'bicycle', 'fence', 'bread', 'sign', 'kite', 'glass', 'ladder'];

/** Writes ended jobs as BullMQ leaves them behind, one in fifty of them failed; some words are in most of them, some in a few. */
export async function fillQueue(redis: Redis, { prefix, queue, jobs, now }: FilledQueue): Promise<void> {
  const random = createRandom('dashboard');
  const key = (name: string) => `${prefix}:${queue}:${name}`;
  for (let first = 0; first < jobs; first += batch) {
    const pipeline = redis.pipeline();
    for (let i = first; i < Math.min(jobs, first + batch); i += 1) {
      const finishedOn = now - (jobs - 1 - i) * paceMs;
      const { fields, hasFailed } = jobOf(i, finishedOn, random);
      pipeline.hset(key(idOf(i)), fields);
      pipeline.zadd(key(hasFailed ? 'failed' : 'completed'), finishedOn, idOf(i));
    }
    for (const [error] of (await pipeline.exec()) ?? []) if (error) throw error;
  }
}

/** As long as a UUID, and the same each time. */
function idOf(i: number): string {
  return createHash('sha256')
    .update(`job ${i}`)
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
}

function jobOf(i: number, finishedOn: number, random: Random) {
  const pick = (words: readonly string[]) => random.pick(words);
  const question = () =>
    `What does the ${pick(subjects)} do after the ${pick(subjects)} starts to ${pick(verbs)} the ${pick(things)}?`;
  const options = Array.from(
    { length: 4 },
    () => `${pick(verbs)}s the ${pick(things)} beside the ${pick(subjects)}`,
  );
  const video = `/data/videos/egocentric/${idOf(Math.floor(i / 5)).slice(0, 18)}${i % 997 === 0 ? '-zeppelin' : ''}.mp4`;
  const data = {
    ...{
      video,
      questions: [{ question: question(), options }],
      sampling: {},
      compression: 'auto',
      generation: {},
    },
    ...{
      model: 'nano',
      tags: { run: `night-${Math.floor(i / 20_000)}`, dataset: 'benchmark', split: 'test' },
    },
  };
  const processedOn = finishedOn - 900 - random.index(4_000);
  const hasFailed = i % 50 === 7;
  const ended = hasFailed
    ? {
        failedReason: failedReasonOf(
          'video',
          `"${video}": expected a video, found ${pick(['text', 'a ZIP archive', 'nothing'])} in ${i} bytes`,
        ),
      }
    : { returnvalue: JSON.stringify(summaryOf(i, finishedOn - processedOn, random)) };
  const fields = {
    ...{ name: jobName, data: JSON.stringify(data), timestamp: processedOn - 60_000, delay: 0, priority: 0 },
    opts: JSON.stringify({ jobId: idOf(i), attempts: 3, backoff: { type: 'exponential', delay: 1000 } }),
    ...{ processedOn, finishedOn, ats: 1, atm: 1, pb: `machine-${i % 8}-4711`, ...ended },
  };
  return { fields, hasFailed };
}

/** As workers write it: see `JobSummary`. */
function summaryOf(i: number, totalMs: number, random: Random) {
  const shares = stageNames.map(() => random.next());
  const sum = shares.reduce((a, b) => a + b, 0);
  const stages = stageNames.map((name, stage) => [
    name,
    Math.round((10 * totalMs * shares[stage]!) / sum) / 10,
  ]);
  return {
    ...{ cached: i % 20 === 0, answers: ['ABCD'[i % 4]], frames: 16, tokens: { before: 3136, after: 1024 } },
    reused: i % 5 === 0 ? 'none' : 'tokens',
    ...{ count: 1, likelihoods: [0.612], sight: idOf(i) + idOf(i + 1) },
    durationSeconds: random.between(30, 180),
    timings: {
      ...Object.fromEntries(stages),
      ...{ queueMs: 60_000, totalMs, firstTokenMs: totalMs * 0.8, onnxMs: totalMs * 0.7 },
      ...{ tokensPerSecond: 80, framesPerSecond: 20 },
    },
  };
}
