import type { EncodedFrame, TokenBudget } from '../../src/models/types.js';
import { compressFrame } from '../../src/pipeline/compress.js';
import { median, ms, type Table } from './table.js';

interface Setting {
  readonly tower: string;
  readonly N: number;
  readonly D: number;
  readonly K: number;
  readonly cls: boolean;
  readonly budget: TokenBudget;
}

const settings: readonly Setting[] = [
  { tower: 'nano, 12 × 12', N: 145, D: 128, K: 32, cls: true, budget: { dominant: 13, contextual: 2 } },
  { tower: 'CLIP ViT-L/14-336', N: 577, D: 1024, K: 64, cls: true, budget: { dominant: 54, contextual: 10 } },
  {
    tower: 'CLIP ViT-L/14-336',
    N: 577,
    D: 1024,
    K: 64,
    cls: true,
    budget: { dominant: 162, contextual: 30 },
  },
  {
    tower: 'SigLIP so400m-384',
    N: 729,
    D: 1152,
    K: 72,
    cls: false,
    budget: { dominant: 54, contextual: 10 },
  },
];

/** VisionZip's own time for one frame, on random tensors of the sizes that towers give. */
export function benchCompress(): Table {
  return {
    title: "VisionZip's own time",
    about: 'One frame on one thread, random tensors; median of 200 runs after 50 to warm up.',
    columns: ['tower', 'tokens', 'kept', 'ms a frame'],
    rows: settings.map((setting) => {
      const frame = randomFrame(setting);
      const { dominant, contextual } = setting.budget;
      return [
        setting.tower,
        String(setting.N),
        `${dominant} + ${contextual}`,
        ms(time(frame, setting.budget)),
      ];
    }),
  };
}

function time(frame: EncodedFrame, budget: TokenBudget): number {
  const runs: number[] = [];
  for (let run = 0; run < 250; run++) {
    const started = performance.now();
    compressFrame(frame, budget);
    if (run >= 50) runs.push(performance.now() - started);
  }
  return median(runs);
}

function randomFrame({ N, D, K, cls }: Setting): EncodedFrame {
  const floats = (length: number) => Float32Array.from({ length }, () => Math.random() - 0.5);
  return {
    index: 0,
    ptsSeconds: 0,
    N,
    D,
    K,
    hidden: floats(N * D),
    keys: floats(N * K),
    scores: floats(cls ? N - 1 : N),
  };
}
