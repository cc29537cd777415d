import { defaultLimits } from '../../src/media/open.js';
import type { Model } from '../../src/models/types.js';
import { answerVideo } from '../../src/pipeline/answer.js';
import { stageNames } from '../../src/pipeline/timings.js';
import type { AnswerOutcome, AnswerRequest, Compression, Timings } from '../../src/pipeline/types.js';
import { median, ms, type Table, times } from './table.js';

export interface StageBench {
  readonly clip: string;
  readonly questions: readonly string[];
  readonly runs: number;
}

/** Where the time of one job goes, and what is left of it outside ONNX Runtime. */
export async function benchStages(model: Model, bench: StageBench): Promise<Table> {
  const { timings } = await medianRun(model, bench, request(bench, 'auto'));
  const share = (value: number) => `${((100 * value) / timings.totalMs).toFixed(0)} %`;
  return {
    title: 'Stage by stage',
    about:
      `The demo clip, ${bench.questions.length} questions, default settings, model already loaded; ` +
      `median of ${bench.runs} runs. Waiting for the decoder counts as decode.`,
    columns: ['stage', 'ms', 'of the total'],
    rows: [
      ...stageNames.map((stage) => [stage.replace('Ms', ''), ms(timings[stage]), share(timings[stage])]),
      ['total', ms(timings.totalMs), '100 %'],
      ['inside ONNX Runtime', ms(timings.onnxMs), share(timings.onnxMs)],
      ['total ÷ inside ONNX Runtime', times(timings.totalMs / timings.onnxMs), ''],
      ['first token', ms(timings.firstTokenMs), share(timings.firstTokenMs)],
    ],
  };
}

/** Prefill and total with and without compression at equal frames, run in turn. */
export async function benchCompression(
  model: Model,
  bench: StageBench,
  frameCounts: readonly number[],
): Promise<Table> {
  const rows: string[][] = [];
  for (const frames of frameCounts) {
    const [none, auto] = await alternate(model, bench, frames);
    rows.push([
      String(frames),
      `${none.tokens.after} → ${auto.tokens.after}`,
      `${ms(none.timings.prefillMs)} → ${ms(auto.timings.prefillMs)}`,
      times(none.timings.prefillMs / auto.timings.prefillMs),
      `${ms(none.timings.totalMs)} → ${ms(auto.timings.totalMs)}`,
      times(none.timings.totalMs / auto.timings.totalMs),
    ]);
  }
  return {
    title: 'With and without compression, at equal frames',
    about: `The demo clip, one question, both settings run in turn; median of ${bench.runs} runs each.`,
    columns: ['frames', 'visual tokens', 'prefill ms', 'faster', 'total ms', 'faster'],
    rows,
  };
}

async function alternate(model: Model, bench: StageBench, frames: number) {
  const one = { ...bench, questions: bench.questions.slice(0, 1) };
  const outcomes: Record<'none' | 'auto', AnswerOutcome[]> = { none: [], auto: [] };
  for (let run = 0; run <= bench.runs; run++) {
    for (const compression of ['none', 'auto'] as const) {
      const sampled = { ...request(one, compression), sampling: { frames } };
      const outcome = await answerVideo(model, sampled);
      // The first of each warms up.
      if (run > 0) outcomes[compression].push(outcome);
    }
  }
  return [medianOf(outcomes.none), medianOf(outcomes.auto)] as const;
}

async function medianRun(model: Model, bench: StageBench, asked: AnswerRequest): Promise<AnswerOutcome> {
  const outcomes: AnswerOutcome[] = [];
  for (let run = 0; run <= bench.runs; run++) outcomes.push(await answerVideo(model, asked));
  return medianOf(outcomes.slice(1));
}

/** The first outcome with each timing replaced by its median over all. */
function medianOf(outcomes: readonly AnswerOutcome[]): AnswerOutcome {
  const first = outcomes[0]!;
  const { spans: _, ...sums } = first.timings;
  const keys = Object.keys(sums) as (keyof typeof sums)[];
  const timings = Object.fromEntries(
    keys.map((key) => [key, median(outcomes.map((outcome) => outcome.timings[key]))]),
  ) as unknown as Timings;
  return { ...first, timings };
}

function request(bench: StageBench, compression: Compression): AnswerRequest {
  return {
    video: bench.clip,
    questions: bench.questions,
    sampling: {},
    compression,
    generation: {},
    limits: defaultLimits,
  };
}
