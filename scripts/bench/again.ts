import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { AskJob, Result } from '../../queues/schemas.js';
import { readSettings, type Settings } from '../../src/settings.js';
import { FileDigests } from '../../src/sources/digest.js';
import { answerJob } from '../../src/workers/answer-job.js';
import { Catalog, type CatalogModel } from '../../src/workers/catalog.js';
import { buildResult } from '../../src/workers/document.js';
import { ModelProcess } from '../../src/workers/model-process.js';
import { median, ms, type Table, times } from './table.js';

export interface AgainClip {
  readonly name: string;
  readonly file: string;
  /** Default: as many as the model takes. */
  readonly frames?: number;
}

export interface AgainBench {
  readonly modelDir: string;
  readonly clips: readonly AgainClip[];
  /** A video that is asked about in between, so that the others no longer lie prefilled. */
  readonly other: string;
  /** Ten of them. */
  readonly questions: readonly string[];
  readonly rounds: number;
}

/** Answers here are short: what is measured is how soon they begin. */
const maxNewTokens = 8;
const GiB = 2 ** 30;

/** What a video that was asked before costs when it is asked again, and several questions in one job. */
export async function benchAgain(bench: AgainBench): Promise<Table> {
  const rows: string[][] = [];
  const asker = await Asker.open(bench);
  try {
    for (const clip of bench.clips) rows.push(await measureClip(asker, clip, bench));
  } finally {
    await asker.close();
  }
  return {
    title: `Asked again: ${basename(bench.modelDir)}`,
    about:
      'A question about a video that was never asked before; a second one while the video lies prefilled; a second one when only its ' +
      `tokens are stored; ten in one job. All through one model process that has the model loaded, from the digest of the file to the document; answers of at most ${maxNewTokens} tokens. ` +
      `${bench.rounds} rounds, in each all four; medians of the milliseconds, in brackets those inside ONNX Runtime, and of the rounds’ ratios. Wanted: at most 5 %, 15 % and 2×. *Same*: answers that are those of the question asked alone of a new video.`,
    columns: [
      'clip',
      'frames',
      'first, ms',
      'again, prefilled, ms',
      '÷ first',
      'again, from the store, ms',
      '÷ first',
      'ten, ms',
      '÷ one',
      'same',
    ],
    rows,
  };
}

type Kind = 'first' | 'prefix' | 'tokens' | 'ten';

async function measureClip(asker: Asker, clip: AgainClip, bench: AgainBench): Promise<string[]> {
  const { questions, rounds } = bench;
  const alone = new Map<string, Asked['answers'][number]>();
  for (const question of questions) alone.set(question, (await asker.anew(clip, [question])).answers[0]!);
  const taken: Record<Kind, Asked[]> = { first: [], prefix: [], tokens: [], ten: [] };
  for (let round = 0; round < rounds; round++) await measureRound(asker, clip, questions, taken);
  const { first, ...others } = taken;
  const middle = (all: readonly Asked[]) => {
    const [took, onnx] = [all.map(({ tookMs }) => tookMs), all.map(({ onnxMs }) => onnxMs)].map(median);
    return `${ms(took!)} (${ms(onnx!)})`;
  };
  const ratio = (all: readonly Asked[]) => median(all.map(({ tookMs }, i) => tookMs / first[i]!.tookMs));
  const percent = (all: readonly Asked[]) => `${(100 * ratio(all)).toFixed(1)} %`;
  const answers = Object.values(taken).flatMap((all) => all.flatMap((one) => one.answers));
  const same = answers.filter(({ question, answer }) => answer === alone.get(question)?.answer);
  return [
    ...[clip.name, String(first[0]!.frames), middle(first)],
    ...[others.prefix, others.tokens].flatMap((all) => [middle(all), percent(all)]),
    ...[middle(others.ten), times(ratio(others.ten)), `${same.length} of ${answers.length}`],
  ];
}

async function measureRound(
  asker: Asker,
  clip: AgainClip,
  questions: readonly string[],
  taken: Readonly<Record<Kind, Asked[]>>,
): Promise<void> {
  const [one, two] = questions as [string, string];
  taken.first.push(await asker.anew(clip, [one]));
  taken.prefix.push(await asker.again(clip, [two], 'prefix'));
  await asker.forgetPrefix();
  taken.tokens.push(await asker.again(clip, [two], 'tokens'));
  taken.ten.push(await asker.anew(clip, questions));
}

interface Asked {
  readonly tookMs: number;
  readonly onnxMs: number;
  readonly frames: number;
  readonly answers: readonly Pick<Result['answers'][number], 'question' | 'answer'>[];
}

/** Asks as the command line and a worker do, behind a model that is loaded. */
class Asker {
  readonly #process: ModelProcess;
  readonly #folder = mkdtempSync(join(tmpdir(), 'visionzip-again-'));
  readonly #settings = { ...readSettings({}), prefixBytes: 0 };
  /** Where things of the other video are kept. */
  readonly #otherHome = mkdtempSync(join(this.#folder, 'other-'));
  /** Where those of the round are. */
  #home = this.#otherHome;
  #digests = new FileDigests();

  private constructor(
    readonly model: CatalogModel,
    readonly other: string,
  ) {
    this.#process = new ModelProcess(this.#settings);
  }

  static async open({ modelDir, other }: Pick<AgainBench, 'modelDir' | 'other'>): Promise<Asker> {
    const model = await new Catalog([dirname(modelDir)]).find(basename(modelDir));
    const asker = new Asker(model, other);
    await asker.forgetPrefix();
    return asker;
  }

  /** As if the video had never been seen. */
  async anew(clip: AgainClip, questions: readonly string[]): Promise<Asked> {
    await this.forgetPrefix();
    this.#home = mkdtempSync(join(this.#folder, 'home-'));
    this.#digests = new FileDigests();
    return this.again(clip, questions, 'none');
  }

  /** @throws where something else of the video was there than is to be measured. */
  async again(
    clip: AgainClip,
    questions: readonly string[],
    expected: 'none' | 'tokens' | 'prefix',
  ): Promise<Asked> {
    const started = performance.now();
    const { answers, reused, frames, timings } = await this.#ask(clip, questions, this.#home);
    const tookMs = performance.now() - started;
    if (reused !== expected) throw new Error(`expected to find of the video: ${expected}, found ${reused}`);
    return { tookMs, onnxMs: timings.onnxMs, frames: frames.length, answers };
  }

  /** With no memory for several videos the latest alone lies prefilled. */
  async forgetPrefix(): Promise<void> {
    await this.#ask({ file: this.other, frames: 8 }, ['What?'], this.#otherHome);
  }

  async close(): Promise<void> {
    await this.#process.close();
    rmSync(this.#folder, { recursive: true });
  }

  async #ask({ file: path, frames }: Omit<AgainClip, 'name'>, questions: readonly string[], home: string) {
    const settings: Settings = {
      ...this.#settings,
      ...{ home, tokenStore: { dir: join(home, 'tokens'), limitBytes: GiB } },
    };
    const generation = { maxNewTokens };
    const job: AskJob = {
      video: path,
      questions: [...questions],
      sampling: frames === undefined ? {} : { frames },
      compression: 'auto',
      generation,
      model: this.model.name,
    };
    const { digest: videoDigest, identity } = await this.#digests.name(path, settings.limits.maxBytes);
    const ready = { id: 'bench', job, path, videoDigest, identity, model: this.model };
    const parts = { settings, digests: this.#digests };
    return buildResult({ ...ready, outcome: await answerJob(this.#process, ready, parts, {}) });
  }
}
