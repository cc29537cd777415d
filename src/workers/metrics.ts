import type { Worker } from 'bullmq';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { failureDocument } from '../../queues/documents.js';
import type { Result } from '../../queues/schemas.js';
import { packageVersion } from '../models/shipped.js';

/** Upper bounds in seconds: a lookup takes milliseconds, a long video minutes. */
const secondBuckets = [
  ...[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5],
  ...[1, 2.5, 5, 10, 25, 50, 100, 300],
];
/** The stages of a job, as its timings name them. */
const stages = [
  ...['queue', 'probe', 'choose', 'decode', 'preprocess'],
  ...['encode', 'compress', 'project', 'prefill', 'generate'],
] as const;
const outcomes = ['completed', 'cancelled'];
const faults = ['question', 'video', 'model', 'settings', 'internal'];
const reuses = ['answers', 'tokens', 'prefix', 'none'];

/** What a worker counts since it started, for Prometheus. No label names a job, a video or a question. */
export class WorkerMetrics {
  readonly registry = new Registry();
  readonly #own = { registers: [this.registry] };
  readonly #jobs = new Counter({
    ...this.#own,
    name: 'visionzip_jobs_total',
    help: 'Jobs that ended, by outcome; of those that failed by what was at fault, else the fault is empty.',
    labelNames: ['outcome', 'fault'] as const,
  });
  readonly #attempts = new Counter({
    ...this.#own,
    name: 'visionzip_attempts_total',
    help: 'Attempts at jobs that began; a job that is tried again has several.',
  });
  readonly #reuse = new Counter({
    ...this.#own,
    name: 'visionzip_answered_total',
    help: 'Answered jobs by what was there before: all answers, the encoded video (tokens), the prefilled video (prefix), or none.',
    labelNames: ['reused'] as const,
  });
  readonly #stageSeconds = new Histogram({
    ...this.#own,
    name: 'visionzip_stage_seconds',
    help: 'Time that computed jobs spent in each stage, the wait in the queue included.',
    labelNames: ['stage'] as const,
    buckets: secondBuckets,
  });
  readonly #jobSeconds = new Histogram({
    ...this.#own,
    name: 'visionzip_job_seconds',
    help: 'Time from the start of the attempt to the last answer of computed jobs.',
    buckets: secondBuckets,
  });
  readonly #firstTokenSeconds = new Histogram({
    ...this.#own,
    name: 'visionzip_first_token_seconds',
    help: 'Time from the start of the attempt to the first token of an answer of computed jobs.',
    buckets: secondBuckets,
  });
  readonly #frames = new Counter({
    ...this.#own,
    name: 'visionzip_frames_total',
    help: 'Frames that computed jobs looked at.',
  });
  readonly #tokensBefore = new Counter({
    ...this.#own,
    name: 'visionzip_tokens_before_total',
    help: 'Visual tokens of computed jobs before compression.',
  });
  readonly #tokensAfter = new Counter({
    ...this.#own,
    name: 'visionzip_tokens_after_total',
    help: 'Visual tokens of computed jobs after compression.',
  });

  /** Of answered jobs, what was stored before included. */
  #answered = 0;
  #answeredMs = 0;

  /**
   * @param jobsInHand how many there are now.
   * @param jobsWaiting how many wait in the queue; null where Redis does not say.
   */
  constructor(jobsInHand: () => number, jobsWaiting: () => Promise<number | null>) {
    describeProcess(this.registry);
    new Gauge({
      ...this.#own,
      name: 'visionzip_jobs_active',
      help: 'Jobs that this worker has in hand.',
      collect() {
        this.set(jobsInHand());
      },
    });
    const secondsWaiting = async () => {
      const waiting = this.#answered > 0 ? await jobsWaiting() : null;
      return waiting === null ? null : (waiting * this.#answeredMs) / this.#answered / 1000;
    };
    new Gauge({
      ...this.#own,
      name: 'visionzip_work_waiting_seconds',
      help: 'The jobs that wait in the queue, times what this worker took for one on average; absent while it has answered none.',
      async collect() {
        const seconds = await secondsWaiting();
        if (seconds === null) this.remove();
        else this.set(seconds);
      },
    });
    // From the start each series is there, so that its first increase is seen.
    for (const outcome of outcomes) this.#jobs.inc({ outcome, fault: '' }, 0);
    for (const fault of faults) this.#jobs.inc({ outcome: 'failed', fault }, 0);
    for (const reused of reuses) this.#reuse.inc({ reused }, 0);
  }

  /** Counts what BullMQ's worker does. */
  follow(worker: Worker): void {
    worker.on('active', () => this.#attempts.inc());
    worker.on('completed', () => this.#jobs.inc({ outcome: 'completed', fault: '' }));
    worker.on('failed', (job) => {
      if (!job?.finishedOn) return; // It will be tried again.
      const { status, fault } = failureDocument(job.id ?? '', job.failedReason);
      this.#jobs.inc({ outcome: status, fault: fault ?? '' });
    });
  }

  /** Where the time of an answered job went, and what it took. */
  readonly countAnswered = ({ cached, reused, timings, frames, tokens }: Result): void => {
    this.#reuse.inc({ reused: cached ? 'answers' : reused });
    this.#answered += 1;
    this.#answeredMs += timings.totalMs;
    if (cached) return; // Nothing was computed.
    for (const stage of stages) this.#stageSeconds.observe({ stage }, timings[`${stage}Ms`] / 1000);
    this.#jobSeconds.observe(timings.totalMs / 1000);
    this.#firstTokenSeconds.observe(timings.firstTokenMs / 1000);
    this.#frames.inc(frames.length);
    this.#tokensBefore.inc(tokens.before);
    this.#tokensAfter.inc(tokens.after);
  };
}

/** What the process takes, and which version it runs, as labels of a constant. */
export function describeProcess(registry: Registry): void {
  collectDefaultMetrics({ register: registry });
  // Gauges that are named as if they were counters, whose numbers others tell as well.
  for (const kind of ['handles', 'requests', 'resources'])
    registry.removeSingleMetric(`nodejs_active_${kind}_total`);
  const build = new Gauge({
    name: 'visionzip_build_info',
    help: 'Always 1; the labels say which version runs, on which Node.',
    labelNames: ['version', 'node'] as const,
    registers: [registry],
  });
  build.set({ version: packageVersion(), node: process.version }, 1);
}
