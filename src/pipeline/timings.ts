import type { StageSpans, Timings } from './types.js';

/** The stages of a job, in order, by their names in `Timings`. */
export const stageNames = [
  'probeMs',
  'chooseMs',
  'decodeMs',
  'preprocessMs',
  'encodeMs',
  'compressMs',
  'projectMs',
  'prefillMs',
  'generateMs',
] as const satisfies readonly (keyof Timings)[];

/** The stages, and `framesMs` for all from the first frame wanted to the last one projected. */
type StageMs = (typeof stageNames)[number] | 'framesMs';

/** Fills the one record of timings of a job. */
export class StageClock {
  readonly #started = performance.now();
  readonly #stages = new Map<StageMs, number>();
  /** When each was first and last busy. */
  readonly #spans = new Map<StageMs, [number, number]>();
  #firstTokenMs = 0;
  #frames = 0;

  /** Runs `work` and adds its time to a stage, also when it throws. */
  async measure<T>(stage: StageMs, work: () => T | Promise<T>): Promise<T> {
    const started = performance.now();
    try {
      return await work();
    } finally {
      this.add(stage, performance.now() - started);
    }
  }

  /** @param endMs when it was over, from the start of the job; default now. */
  add(stage: StageMs, ms: number, endMs = this.nowMs()): void {
    this.#stages.set(stage, this.#of(stage) + ms);
    const startMs = Math.max(0, endMs - Math.max(0, ms));
    const [first, last] = this.#spans.get(stage) ?? [startMs, endMs];
    this.#spans.set(stage, [Math.min(first, startMs), Math.max(last, endMs)]);
  }

  /** From the start of the job. */
  nowMs(): number {
    return performance.now() - this.#started;
  }

  /** Counts once. */
  firstToken(): void {
    this.#firstTokenMs ||= this.nowMs();
  }

  /** Counts frames that went all the way through the tower. */
  addFrames(count: number): void {
    this.#frames += count;
  }

  /** `decodeSteps` are the runs of the decoder after each question's prefill. */
  record(counts: { decodeSteps: number; onnxMs: number }): Timings {
    // ONNX Runtime's time is taken off what is measured beside it, and told a moment late: a stage may come out below 0.
    const stages = Object.fromEntries(stageNames.map((stage) => [stage, Math.max(0, this.#of(stage))]));
    return {
      queueMs: 0,
      ...(stages as Record<(typeof stageNames)[number], number>),
      totalMs: this.nowMs(),
      firstTokenMs: this.#firstTokenMs,
      onnxMs: counts.onnxMs,
      tokensPerSecond: perSecond(counts.decodeSteps, this.#of('generateMs')),
      framesPerSecond: perSecond(this.#frames, this.#of('framesMs')),
      spans: this.#describeSpans(),
    };
  }

  #describeSpans(): StageSpans {
    const ran = stageNames.filter((stage) => this.#spans.has(stage));
    return Object.fromEntries(ran.map((stage) => [stage.replace(/Ms$/, ''), this.#spans.get(stage)]));
  }

  #of(stage: StageMs): number {
    return this.#stages.get(stage) ?? 0;
  }
}

function perSecond(count: number, ms: number): number {
  return ms > 0 ? (count * 1000) / ms : 0;
}
