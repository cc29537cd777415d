import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { cpus } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Dtype } from '../../src/models/layout.js';
import type { TokenBudget } from '../../src/models/types.js';
import { median, type Table, times } from './table.js';

/** Frames as a tower gives them. */
export interface FirstTokenSetting {
  readonly frames: number;
  readonly patches: number;
  readonly cls: boolean;
  readonly width: number;
  readonly keyWidth: number;
  /** None: all tokens. */
  readonly budget: TokenBudget | null;
}

/** What a process of its own is to measure. */
export type ChildRequest = { readonly dir: string; readonly dtype: Dtype } & (
  | { readonly what: 'prepare' | 'encode' }
  | { readonly what: 'firstToken'; readonly setting: FirstTokenSetting }
);

export interface PublishedBench {
  /** Holds `weights` and `model`, as training/published/true_size.py writes them. */
  readonly models: string;
  /** A Python with training/published's packages. */
  readonly python: string;
  readonly dtypes: readonly Dtype[];
  /** Rounds. */
  readonly runs: number;
  readonly onDone: (what: string) => void;
}

interface Measured {
  /** Of each run; of preparing, the one. */
  readonly ms?: number[];
  readonly compressMs?: number[];
  readonly prefillMs?: number[];
  readonly firstTokenMs?: number[];
  readonly promptTokens?: number;
  readonly largest?: number;
  readonly megabytes?: number;
  readonly peakKib: number;
}

const clip = { cls: true, patches: 576, width: 1024, keyWidth: 64 };
/** As many tokens as a video has in LLaVA-OneVision, a frame in LLaVA-1.5, a picture in LLaVA-NeXT. */
const SETTINGS: readonly (Omit<FirstTokenSetting, 'budget'> & { readonly budget: TokenBudget })[] = [
  { ...clip, frames: 8, patches: 196, cls: false, budget: { dominant: 17, contextual: 3 } },
  { ...clip, frames: 1, budget: { dominant: 54, contextual: 10 } },
  { ...clip, frames: 5, budget: { dominant: 27, contextual: 5 } },
];

const childScript = fileURLToPath(new URL('./published-child.js', import.meta.url));
const torchScript = fileURLToPath(new URL('../../../training/published/torch_speed.py', import.meta.url));

/** One way to compute, and what was measured of it. */
interface Runtime {
  readonly name: string;
  readonly tower: () => Measured;
  /** `text`: tokens of the prompt beside the visual ones. */
  readonly firstToken: (setting: FirstTokenSetting, text: number) => Measured;
}

/** All rounds of one runtime. */
interface Figures {
  readonly name: string;
  readonly tower: Measured;
  /** For each setting with all tokens, and with those that VisionZip leaves. */
  readonly firstToken: readonly (readonly [all: Measured, kept: Measured])[];
}

/** Preparing, encoding and the first token at true size, beside transformers in PyTorch. */
export function benchPublished(bench: PublishedBench): Table[] {
  const models = bench.dtypes.map((dtype) => ({ dtype, dir: linkModel(bench.models, dtype) }));
  try {
    const prepared = models.map(({ dtype, dir }) => [dtype, ...prepare(bench, dtype, dir)]);
    const runtimes = [...models.map((model) => measureOurs(bench, model.dtype, model.dir)), inPyTorch(bench)];
    const measured = measureInTurn(runtimes, bench.runs);
    return [
      {
        title: 'Preparing a model of true size',
        about:
          'CLIP ViT-L/14-336 and a decoder of Qwen2-0.5B’s shape, random weights, in the layout of the hub; ' +
          '`visionzip model prepare` with its check against the untouched graphs. The second of two runs: the files ' +
          'were in memory.',
        columns: ['type', 'files, MB', 's', 'peak MiB', 'largest difference'],
        rows: prepared,
      },
      towerTable(bench, measured.figures),
      firstTokenTable(bench, measured.figures, measured.texts),
    ];
  } finally {
    for (const { dir } of models) rmSync(dir, { recursive: true, force: true });
  }
}

/** A folder that shares the model's files, to be prepared as one type beside the others. */
function linkModel(models: string, dtype: Dtype): string {
  const [from, to] = [join(models, 'model'), join(models, `bench-${dtype}`)];
  rmSync(to, { recursive: true, force: true });
  const entries = readdirSync(from, { recursive: true, withFileTypes: true });
  for (const entry of entries.filter((one) => one.isFile() && !one.name.startsWith('visionzip'))) {
    const folder = join(to, relative(from, entry.parentPath));
    mkdirSync(folder, { recursive: true });
    linkSync(join(entry.parentPath, entry.name), join(folder, entry.name));
  }
  return to;
}

/** Round after round, and in a round one runtime after the other for each setting, so that all share what else happens. */
function measureInTurn(runtimes: readonly Runtime[], rounds: number) {
  const texts: number[] = [];
  const towers: Measured[][] = [];
  const firstTokens: Measured[][] = [];
  for (let round = 0; round < rounds; round++) {
    towers.push(runtimes.map(({ tower }) => tower()));
    const cells = SETTINGS.flatMap((setting) => [{ ...setting, budget: null }, setting]);
    cells.forEach((setting, cell) => {
      const of = runtimes.map(({ firstToken }) => {
        const measured = firstToken(setting, texts[cell] ?? 0);
        texts[cell] ??= measured.promptTokens! - visualTokens(setting);
        return measured;
      });
      firstTokens.push(of);
    });
  }
  const cellsOf = (runtime: number, cell: number) =>
    firstTokens.filter((_, i) => i % (2 * SETTINGS.length) === cell).map((of) => of[runtime]!);
  const figures = runtimes.map(
    ({ name }, runtime): Figures => ({
      name,
      tower: together(towers.map((of) => of[runtime]!)),
      firstToken: SETTINGS.map((_, i) => [
        together(cellsOf(runtime, 2 * i)),
        together(cellsOf(runtime, 2 * i + 1)),
      ]),
    }),
  );
  return { figures, texts: SETTINGS.map((_, i) => texts[2 * i]!) };
}

/** The times of all rounds, and the highest peak. */
function together(rounds: readonly Measured[]): Measured {
  const all = (key: 'ms' | 'compressMs' | 'prefillMs' | 'firstTokenMs') =>
    rounds[0]![key] && { [key]: rounds.flatMap((round) => round[key]!) };
  return {
    ...all('ms'),
    ...all('compressMs'),
    ...all('prefillMs'),
    ...all('firstTokenMs'),
    peakKib: Math.max(...rounds.map(({ peakKib }) => peakKib)),
  };
}

function towerTable({ runs }: PublishedBench, runtimes: readonly Figures[]): Table {
  const base = median(runtimes.at(-1)!.tower.ms!);
  return {
    title: 'CLIP ViT-L/14-336: seconds a frame',
    about:
      `${cpus().length} threads; ${runs} rounds in turn, in each a fresh process and its second run; medians. PyTorch runs the ` +
      'same 23 blocks. Memory is the peak of the process, which has loaded the whole model.',
    columns: ['runtime', 's a frame', 'faster than PyTorch', 'VisionZip 54 + 10, ms', 'peak MiB'],
    rows: runtimes.map(({ name, tower }) => [
      name,
      seconds(tower.ms!),
      times(base / median(tower.ms!)),
      tower.compressMs ? median(tower.compressMs).toFixed(1) : '',
      mib(tower),
    ]),
  };
}

function firstTokenTable(
  { runs }: PublishedBench,
  runtimes: readonly Figures[],
  texts: readonly number[],
): Table {
  const faster = ([all, kept]: readonly [Measured, Measured], of: 'prefillMs' | 'firstTokenMs') =>
    times(median(all[of]!) / median(kept[of]!));
  return {
    title: 'Prefill and first token with a decoder of half a billion weights',
    about:
      `Qwen2-0.5B’s shape, random weights, ${cpus().length} threads; ${runs} rounds in turn, in each a fresh process and its second run; ` +
      `medians. Beside the visual tokens ${texts.join(', ')} tokens of text. *Prefill* is the decoder over the whole ` +
      'prompt. *First token* is everything behind the tower: VisionZip, projector, embedding, prefill, choice, in this order for ' +
      'all three (LLaVA-OneVision itself projects and pools before). PyTorch’s ' +
      'second figures are for as many tokens as VisionZip leaves. Memory is the peak of the process, which has loaded ' +
      'the whole model.',
    columns: [
      ...['visual tokens', 'runtime', 'prefill s', 'faster', 'first token s', 'faster'],
      ...['VisionZip ms', 'peak MiB'],
    ],
    rows: SETTINGS.flatMap(({ frames, patches, budget }, i) =>
      runtimes.map(({ name, firstToken }) => {
        const both = firstToken[i]!;
        const [all, kept] = both;
        const of = frames === 1 ? '' : `${frames} × `;
        return [
          `${of}${patches} → ${of}${total(budget)}`,
          name,
          `${seconds(all.prefillMs!)} → ${seconds(kept.prefillMs!)}`,
          faster(both, 'prefillMs'),
          `${seconds(all.firstTokenMs!)} → ${seconds(kept.firstTokenMs!)}`,
          faster(both, 'firstTokenMs'),
          kept.compressMs ? median(kept.compressMs).toFixed(1) : '',
          `${mib(all)} → ${mib(kept)}`,
        ];
      }),
    ),
  };
}

/** Size of the files, seconds, peak memory and largest difference of `model prepare`. */
function prepare({ onDone }: PublishedBench, dtype: Dtype, dir: string): string[] {
  child({ what: 'prepare', dir, dtype });
  const { ms, largest, megabytes, ...measured } = child({ what: 'prepare', dir, dtype });
  onDone(`prepare, ${dtype}`);
  return [
    megabytes!.toFixed(0),
    seconds(ms!),
    mib(measured),
    largest === 0 ? '0' : largest!.toExponential(1),
  ];
}

function measureOurs({ onDone }: PublishedBench, dtype: Dtype, dir: string): Runtime {
  const measure = (request: ChildRequest, what: string) => {
    const measured = child(request);
    onDone(`${what}, ${dtype}`);
    return measured;
  };
  return {
    name: `visionzip, ${dtype}`,
    tower: () => measure({ what: 'encode', dir, dtype }, 'a frame'),
    firstToken: (setting) =>
      measure({ what: 'firstToken', dir, dtype, setting }, `${visualTokens(setting)} tokens`),
  };
}

function inPyTorch({ models, python, onDone }: PublishedBench): Runtime {
  const measure = (what: string, ...args: string[]) => {
    const shared = ['--weights', join(models, 'weights'), '--threads', String(cpus().length), '--runs', '1'];
    const measured = run(python, ['-W', 'ignore', torchScript, ...shared, ...args]);
    onDone(`${what}, PyTorch`);
    return measured;
  };
  return {
    name: 'PyTorch, fp32',
    tower: () => measure('a frame', '--frame'),
    firstToken: (setting, text) => {
      const visual = visualTokens(setting);
      return measure(`${visual} tokens`, '--visual', String(visual), '--text', String(text));
    },
  };
}

function child(request: ChildRequest): Measured {
  return run(process.execPath, [childScript, JSON.stringify(request)]);
}

function visualTokens({ frames, patches, budget }: FirstTokenSetting): number {
  return frames * (budget ? total(budget) : patches);
}

function run(command: string, args: readonly string[]): Measured {
  const stdio = ['ignore', 'pipe', 'inherit'] as const;
  return JSON.parse(execFileSync(command, args, { encoding: 'utf8', stdio: [...stdio] })) as Measured;
}

function total({ dominant, contextual }: TokenBudget): number {
  return dominant + contextual;
}

function seconds(ms: number | readonly number[]): string {
  const value = (typeof ms === 'number' ? ms : median(ms)) / 1000;
  return value.toFixed(value < 10 ? 2 : 1);
}

function mib({ peakKib }: Pick<Measured, 'peakKib'>): string {
  return (peakKib / 1024).toFixed(0);
}
