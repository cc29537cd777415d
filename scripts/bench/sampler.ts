import { createSampler, type PickToken } from '../../src/pipeline/sampler.js';
import type { Generation } from '../../src/pipeline/types.js';
import { sortingSampler } from './sorting-sampler.js';
import { median, ms, type Table, times } from './table.js';

/** Qwen2's vocabulary. */
const V = 152_000;
const RUNS = 30;

const settings: readonly (readonly [name: string, generation: Generation])[] = [
  ['greedy', {}],
  ['temperature 0.8', { temperature: 0.8 }],
  ['temperature 0.8, top k 50', { temperature: 0.8, topK: 50 }],
  ['temperature 0.8, top p 0.9', { temperature: 0.8, topP: 0.9 }],
  ['temperature 2', { temperature: 2 }],
];

/** Picking one token, beside the obvious way of doing it, in turn on the same logits. */
export function benchSampler(): Table {
  return {
    title: 'Picking a token',
    about:
      `One token out of ${V.toLocaleString('en')}, normal logits with a deviation of 3; the other column sorts the ` +
      `vocabulary. Both in turn, median of ${RUNS} each.`,
    columns: ['setting', 'ms', 'ms by sorting', 'faster'],
    rows: settings.map(([name, generation]) => {
      const { ours, sorting } = timeInTurn(generation);
      return [name, ms(ours), ms(sorting), times(sorting / ours)];
    }),
  };
}

/** Median milliseconds of both. */
function timeInTurn(generation: Generation): { ours: number; sorting: number } {
  const samplers = [createSampler(generation), sortingSampler(generation)];
  const taken: number[][] = [[], []];
  for (let run = 0; run <= RUNS; run++) {
    const logits = Float32Array.from({ length: V }, () => 3 * normal());
    for (const i of run % 2 === 0 ? [0, 1] : [1, 0]) {
      const ms = timeOf(samplers[i]!, logits);
      // The first warms up.
      if (run > 0) taken[i]!.push(ms);
    }
  }
  return { ours: median(taken[0]!), sorting: median(taken[1]!) };
}

function timeOf(pick: PickToken, logits: Float32Array): number {
  const started = performance.now();
  pick(logits);
  return performance.now() - started;
}

/** Box and Muller. */
function normal(): number {
  return Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());
}
