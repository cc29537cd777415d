import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { z } from 'zod';
import { plural } from '../../src/format.js';
import type { Dtype } from '../../src/models/layout.js';
import { type DecoderFile, writeDecoder } from './decoder-files.js';
import { median, ms, type Table, times } from './table.js';

export interface DecoderBench {
  /** What training/published/smollm2.py writes. */
  readonly model: string;
  /** A Python with training/published's packages. */
  readonly python: string;
  readonly dtypes: readonly Dtype[];
  readonly rounds: number;
  readonly threads: number;
  readonly onDone: (what: string) => void;
}

/** `newTokens` greedy tokens behind a prompt. */
export interface AnswerRequest {
  readonly ids: readonly number[];
  readonly newTokens: number;
}

export interface Answered {
  readonly ids: readonly number[];
  /** Until the first token. */
  readonly prefillMs: number;
  /** Of each further token, from one to the next. */
  readonly stepMs: readonly number[];
  /** Of the processor, by all threads, for the first token and for all others. */
  readonly cpuMs: { readonly prefill: number; readonly steps: number };
  /** Of these inside ONNX Runtime, for the embedding, and to choose. */
  readonly insideMs?: readonly number[];
  readonly embedMs?: readonly number[];
  readonly pickMs?: readonly number[];
  readonly peakKib?: number;
}

/** A decoder that runs in a process of its own. */
interface Runtime {
  readonly title: string;
  /** Whether it is one that is used. */
  readonly isCompared: boolean;
  answer(request: AnswerRequest): Promise<Answered>;
  stop(): void;
}

const [PROMPT, STEPS] = [1000, 100];
const root = new URL('../../../', import.meta.url);
const childScript = fileURLToPath(new URL('./decoder-child.js', import.meta.url));
const llamaScript = fileURLToPath(new URL('training/published/llama_speed.py', root));

const answersSchema = z.object({
  transformers: z.string(),
  answers: z.array(
    z.object({ prompt: z.string(), promptIds: z.array(z.int()), answerIds: z.array(z.int()) }),
  ),
});
type Expected = z.infer<typeof answersSchema>;

/** Answers against transformers', and times beside llama.cpp. */
export async function benchDecoder(bench: DecoderBench): Promise<Table[]> {
  const expected = answersSchema.parse(JSON.parse(readFileSync(join(bench.model, 'answers.json'), 'utf8')));
  requireSamePrompts(bench.model, expected);
  const runtimes = await startRuntimes(bench);
  try {
    const same = await compareAnswers(runtimes, expected, bench);
    const load = loadavg()[0]!.toFixed(1);
    const measured = await measure(runtimes, bench);
    const about = `${plural(bench.threads, 'thread')}; ${bench.rounds} rounds, in each one decoder after the other. The load of the machine was ${load} before and ${loadavg()[0]!.toFixed(1)} at the end.`;
    return [
      answersTable(same, expected),
      speedTable(runtimes, measured, about, versionOf(bench.python)),
      partsTable(runtimes, measured),
    ];
  } finally {
    for (const runtime of runtimes) runtime.stop();
  }
}

/** Our template and tokenizer make the ids that transformers makes. */
function requireSamePrompts(dir: string, { answers }: Expected): void {
  const read = (name: string) => readFileSync(join(dir, name), 'utf8');
  const template = new Template(read('chat_template.jinja'));
  const tokenizer = new Tokenizer(
    JSON.parse(read('tokenizer.json')),
    JSON.parse(read('tokenizer_config.json')),
  );
  for (const { prompt, promptIds } of answers) {
    const messages = [{ role: 'user', content: prompt }];
    const text = template.render({ messages, add_generation_prompt: true });
    const { ids } = tokenizer.encode(text, { add_special_tokens: false });
    if (String(ids) !== String(promptIds))
      throw new Error(`"${prompt}" becomes the ids ${ids}, expected ${promptIds}`);
  }
}

async function startRuntimes({ model, python, dtypes, threads }: DecoderBench): Promise<Runtime[]> {
  const files: DecoderFile[] = [];
  for (const dtype of dtypes) {
    files.push(await writeDecoder(model, dtype, 'prepared'), await writeDecoder(model, dtype, 'cut'));
    if (dtype === 'q4') files.push(await writeDecoder(model, dtype, 'rounding'));
  }
  const ours = files.map(({ title, form, decoder, embedTokens }) => ({
    ...start(title, process.execPath, [childScript, decoder, embedTokens, String(threads)]),
    isCompared: form !== 'cut',
  }));
  const args = ['--gguf', join(model, 'decoder.gguf'), '--threads', String(threads)];
  return [...ours, start('llama.cpp, Q4_1', python, [llamaScript, ...args])];
}

function start(title: string, command: string, args: readonly string[]): Runtime {
  const child: ChildProcess = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const answer = async (request: AnswerRequest) => {
    child.stdin!.write(`${JSON.stringify(request)}\n`);
    const { done, value } = await lines.next();
    if (done) throw new Error(`${title} ended before it answered`);
    return JSON.parse(value) as Answered;
  };
  return { title, isCompared: true, answer, stop: () => child.kill() };
}

interface Same {
  readonly title: string;
  answers: number;
  tokens: number;
}

/** Of each runtime that is used: how many answers are the same, and how many tokens are before they part. */
async function compareAnswers(runtimes: readonly Runtime[], { answers }: Expected, { onDone }: DecoderBench) {
  const rows: Same[] = [];
  for (const { title, answer } of runtimes.filter(({ isCompared }) => isCompared)) {
    const row = { title, answers: 0, tokens: 0 };
    for (const { promptIds, answerIds } of answers) {
      const { ids } = await answer({ ids: promptIds, newTokens: answerIds.length });
      const parted = ids.findIndex((id, i) => id !== answerIds[i]);
      row.answers += parted === -1 ? 1 : 0;
      row.tokens += parted === -1 ? answerIds.length : parted;
    }
    rows.push(row);
    onDone(`answers, ${title}`);
  }
  return rows;
}

/** All rounds of each runtime. The round before the first one warms up. */
async function measure(runtimes: readonly Runtime[], { rounds, onDone }: DecoderBench) {
  const ids = Array.from({ length: PROMPT }, (_, i) => 300 + ((i * 7919) % 40_000));
  const measured: Answered[][] = runtimes.map(() => []);
  for (let round = 0; round <= rounds; round++) {
    for (const [i, { answer }] of runtimes.entries()) {
      const answered = await answer({ ids, newTokens: STEPS + 1 });
      if (round > 0) measured[i]!.push(answered);
    }
    onDone(`round ${round} of ${rounds}`);
  }
  return measured;
}

function answersTable(same: readonly Same[], { answers, transformers }: Expected): Table {
  const tokens = answers.reduce((sum, { answerIds }) => sum + answerIds.length, 0);
  return {
    title: 'A decoder with real weights, against transformers',
    about:
      `SmolLM2-135M-Instruct, whose 4-bit weights became float32; ${answers.length} prompts through the chat template, greedy ` +
      `answers of up to 64 tokens by transformers ${transformers} in float32. The prompts are the same token for token. int8 and ` +
      'q4 round these weights once more, per tensor and in blocks of 32; llama.cpp takes the 4 bits as they are and rounds ' +
      'activations. *Cache copied*: the decoder with its logits cut and nothing else.',
    columns: ['decoder', 'answers the same', 'tokens before they part'],
    rows: same.map((one) => [one.title, `${one.answers} of ${answers.length}`, `${one.tokens} of ${tokens}`]),
  };
}

function speedTable(
  runtimes: readonly Runtime[],
  measured: readonly (readonly Answered[])[],
  about: string,
  version: string,
): Table {
  const prefills = measured.map((rounds) => rounds.map(({ prefillMs }) => prefillMs));
  const steps = measured.map((rounds) => rounds.flatMap(({ stepMs }) => stepMs));
  const cpu = measured.map((rounds) => ({
    prefill: Math.min(...rounds.map(({ cpuMs }) => cpuMs.prefill)) / PROMPT,
    step: Math.min(...rounds.map(({ cpuMs }) => cpuMs.steps)) / STEPS,
  }));
  const peer = { prefill: median(prefills.at(-1)!), step: median(steps.at(-1)!), cpu: cpu.at(-1)! };
  return {
    title: 'Tokens a second, beside llama.cpp',
    about:
      `A prompt of ${PROMPT} tokens, and ${STEPS} greedy tokens behind it. ${about} Medians. *CPU* is the processor’s time of all ` +
      'threads, the least of the rounds: other work that shares the cores moves it less, but it counts threads that wait by ' +
      'spinning, as llama.cpp’s do where there is more than one. × is the speed as a share of llama.cpp’s. *Cache copied*: the ' +
      `decoder with its logits cut and nothing else. ${version}`,
    columns: [
      ...['decoder', 'prefill, tokens/s', '×', 'CPU ms a token', '×'],
      ...['decode, tokens/s', '×', 'CPU ms a token', '×', 'peak MiB'],
    ],
    rows: runtimes.map(({ title }, i) => {
      const [prefill, step, own] = [median(prefills[i]!), median(steps[i]!), cpu[i]!];
      return [
        ...[title, ((1000 * PROMPT) / prefill).toFixed(0), times(peer.prefill / prefill)],
        ...[ms(own.prefill), times(peer.cpu.prefill / own.prefill)],
        ...[(1000 / step).toFixed(1), times(peer.step / step), ms(own.step), times(peer.cpu.step / own.step)],
        peakMib(measured[i]!),
      ];
    }),
  };
}

/** Where a step's time goes. */
function partsTable(runtimes: readonly Runtime[], measured: readonly (readonly Answered[])[]): Table {
  const rows = runtimes.flatMap(({ title }, i) => {
    const rounds = measured[i]!;
    const all = (key: 'stepMs' | 'insideMs' | 'embedMs' | 'pickMs') =>
      rounds.flatMap((round) => round[key] ?? []);
    if (all('insideMs').length === 0) return [];
    const [step, inside, embed, pick] = (['stepMs', 'insideMs', 'embedMs', 'pickMs'] as const).map((key) =>
      median(all(key)),
    );
    return [[title, ms(step!), ms(inside!), ms(embed!), ms(pick!), ms(step! - inside! - embed! - pick!)]];
  });
  return {
    title: 'Where a decode step’s time goes',
    about:
      'Of the same run, medians in milliseconds. *ONNX Runtime* is the decoder’s run with what it copies out. *Other*: ' +
      'the cache’s new tokens put behind the others, inputs made, the event loop.',
    columns: ['decoder', 'step', 'ONNX Runtime', 'embedding', 'choosing', 'other'],
    rows,
  };
}

function peakMib(rounds: readonly Answered[]): string {
  const kib = Math.max(...rounds.map(({ peakKib }) => peakKib ?? 0));
  return kib > 0 ? (kib / 1024).toFixed(0) : '';
}

function versionOf(python: string): string {
  const script = 'import llama_cpp as l; print(l.__version__, l.llama_print_system_info().decode())';
  const [version, ...info] = execFileSync(python, ['-c', script], { encoding: 'utf8' }).trim().split(' ');
  const on = [...info.join(' ').matchAll(/(\w+) = 1/g)].map(([, name]) => name);
  return `llama-cpp-python ${version}, compiled for this machine (${on.join(', ')}).`;
}
