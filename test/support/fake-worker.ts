import { EventEmitter, on } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { patientClient, patientOptions, type RedisConnection } from '../../queues/connection.js';
import { Documents } from '../../queues/documents.js';
import { defaultPrefix, defaultRetentionSeconds, keysOf } from '../../queues/options.js';
import type { AskJob, FaultKind, ResultDocument } from '../../queues/schemas.js';
import { TextWriter } from '../../queues/text.js';

/** How the fake worker ends a job; `never` keeps it under way. */
export type Verdict =
  | {
      readonly answers: readonly string[];
      /** Said of the first answer before anything else, once somebody listens. */
      readonly says?: readonly string[];
      /** Tells the first answer before the job has ended, which it does after this. */
      readonly until?: () => Promise<unknown>;
    }
  | { readonly error: string; readonly fault?: FaultKind }
  | 'never';

/** A worker without a model: the same queue and documents, its verdicts scripted, its jobs recorded. */
export class FakeWorker {
  readonly jobs: AskJob[] = [];
  readonly #seen = new EventEmitter();
  readonly #worker: Worker<AskJob>;
  readonly #close: () => void;

  constructor(connection: RedisConnection, queue: string, verdict: (job: AskJob) => Verdict) {
    const redis = patientClient(connection);
    const keys = keysOf(defaultPrefix, queue);
    const documents = new Documents(redis, keys, defaultRetentionSeconds);
    this.#worker = new Worker<AskJob>(
      queue,
      async (job) => {
        this.jobs.push(job.data);
        this.#seen.emit('job', this.jobs.length);
        const ending = verdict(job.data);
        if (ending === 'never') return new Promise(() => {});
        const document = documentOf(job.id!, job.data, ending);
        const writer = new TextWriter(redis, keys, job.id!, job.attemptsStarted);
        for (const text of ('says' in ending && ending.says) || [])
          while ((await writer.write([{ question: 0, text }])) !== 'heard') await pause(10);
        if (document.status === 'completed' && 'until' in ending) {
          const counts = {
            framesDone: 1,
            framesTotal: 1,
            answersDone: 1,
            answersTotal: job.data.questions.length,
          };
          const answered = { ...document, answers: document.answers.slice(0, 1) };
          await job.updateProgress({ stage: 'generate', ...counts, answered });
          await ending.until?.();
        }
        await documents.writeOnce(document);
      },
      { connection: patientOptions(connection), prefix: defaultPrefix },
    );
    this.#close = () => redis.disconnect();
  }

  /** Resolves once so many jobs were taken. */
  async took(count: number): Promise<void> {
    if (this.jobs.length >= count) return;
    for await (const [seen] of on(this.#seen, 'job')) if (seen >= count) return;
  }

  async close(): Promise<void> {
    await this.#worker.close(true);
    this.#close();
  }
}

function documentOf(id: string, job: AskJob, verdict: Exclude<Verdict, 'never'>): ResultDocument {
  const finishedAt = '2026-01-01T00:00:00.000Z';
  if ('error' in verdict)
    return {
      id,
      status: 'failed',
      error: verdict.error,
      fault: verdict.fault ?? 'internal',
      attempts: 1,
      finishedAt,
    };
  return {
    id,
    status: 'completed',
    cached: false,
    video: {
      path: job.video,
      digest: 'd',
      sizeBytes: 1,
      codec: 'h264',
      durationSeconds: 4,
      fps: 8,
      width: 192,
      height: 192,
      warnings: [],
    },
    answers: job.questions.map((question, i) => ({
      ...(typeof question === 'string'
        ? { question }
        : { question: question.question, options: question.options }),
      answer: verdict.answers[i]!,
      finishReason: 'stop',
      promptTokens: 300,
      newTokens: 1,
      prefillMs: 10,
      generateMs: 1,
      cached: false,
    })),
    reused: 'none',
    plan: {
      frames: 16,
      events: 0,
      crops: 1,
      tokensPerFrame: 17,
      framesTogether: 1,
      budget: { dominant: 14, contextual: 3 },
      tokensPerFrameBefore: 144,
      contextLength: 2048,
      promptTokens: 300,
      maxNewTokens: 64,
      reason: 'it fits',
    },
    tokens: { before: 2304, after: 272 },
    frames: [{ index: 0, ptsSeconds: 0, tokens: 17 }],
    timings: {
      queueMs: 1,
      probeMs: 1,
      chooseMs: 0,
      decodeMs: 1,
      preprocessMs: 1,
      encodeMs: 1,
      compressMs: 1,
      projectMs: 1,
      prefillMs: 1,
      generateMs: 1,
      totalMs: 1500,
      firstTokenMs: 1,
      onnxMs: 1,
      tokensPerSecond: 1,
      framesPerSecond: 1,
    },
    model: { name: 'nano', digest: 'd', dtype: 'fp32' },
    settings: { sampling: job.sampling, compression: job.compression, generation: job.generation },
    finishedAt,
  };
}
