import { execFileSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { median, type Table } from './table.js';

/** A job that a process of its own measures. */
export interface WholeJobRequest {
  /** Of a prepared model. */
  readonly dir: string;
  readonly video: string;
  readonly frames: number;
  readonly compression: 'auto' | 'none';
}

interface WholeJob {
  readonly name: string;
  readonly dtype: string;
  readonly frames: number;
  readonly before: number;
  readonly after: number;
  readonly secondsARun: number;
  readonly prefillSeconds: number;
  readonly firstTokenSeconds: number;
  readonly tokensPerSecond: number;
  readonly newTokens: number;
  readonly wholeOverOnnx: number;
  readonly outsideMs: number;
  readonly peakKib: number;
}

export interface WholeJobsBench {
  /** Folders of prepared models. */
  readonly models: readonly string[];
  readonly video: string;
  readonly frames: readonly number[];
  /** Rounds. */
  readonly runs: number;
  readonly onDone: (what: string) => void;
}

const childScript = fileURLToPath(new URL('./whole-job.js', import.meta.url));

/** Whole jobs of published models at true size, with all tokens and with VisionZip. */
export function benchWholeJobs({ models, video, frames, runs, onDone }: WholeJobsBench): Table[] {
  const requests = models.flatMap((dir) =>
    frames.flatMap((count) =>
      (['none', 'auto'] as const).map(
        (compression): WholeJobRequest => ({ dir, video, frames: count, compression }),
      ),
    ),
  );
  const measured: WholeJob[][] = requests.map(() => []);
  for (let round = 0; round < runs; round++)
    for (const [i, request] of requests.entries()) {
      const text = execFileSync(process.execPath, [childScript, JSON.stringify(request)], {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      measured[i]!.push(JSON.parse(text) as WholeJob);
      onDone(`${request.dir}, ${request.frames} frames, ${request.compression}`);
    }
  return [
    {
      title: 'Whole jobs of models that people run',
      about:
        `Random weights in the sizes and types of the models' makers, ${cpus().length} threads; ${runs === 1 ? 'one round' : `${runs} rounds in turn`}, in each a fresh ` +
        "process and its second job; medians. *A run* of the tower is of one frame, in Qwen of a pair. *Whole ÷ ONNX Runtime* is the job's time " +
        'by that inside of it: decoding, pixels, VisionZip, sampling and all else are the rest. Memory is the peak of the process.',
      columns: [
        ...['model', 'frames', 'visual tokens', 's a run', 'prefill s', 'first token s', 'tokens a second'],
        ...['whole ÷ ONNX Runtime', 'peak MiB'],
      ],
      rows: measured.map(rowOf),
    },
  ];
}

function rowOf(jobs: readonly WholeJob[]): string[] {
  const [{ name, dtype, frames, before, after }] = jobs as [WholeJob];
  const of = (
    key: 'secondsARun' | 'prefillSeconds' | 'firstTokenSeconds' | 'tokensPerSecond' | 'wholeOverOnnx',
  ) => median(jobs.map((job) => job[key]));
  return [
    `${name}, ${dtype}`,
    String(frames),
    before === after ? String(before) : `${before} → ${after}`,
    of('secondsARun').toFixed(2),
    of('prefillSeconds').toFixed(2),
    of('firstTokenSeconds').toFixed(1),
    of('tokensPerSecond').toFixed(1),
    of('wholeOverOnnx').toFixed(3),
    (Math.max(...jobs.map(({ peakKib }) => peakKib)) / 1024).toFixed(0),
  ];
}
