import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import pc from 'picocolors';
import { QueueClient, type RedisConnection } from '../queues/index.js';
import type { AskJobInput, Result } from '../queues/schemas.js';
import { CliError, exitCodes } from '../src/cli/exit.js';
import { shippedModelNotice } from '../src/cli/notice.js';
import { createProgressBar } from '../src/cli/progress.js';
import { summaryLines } from '../src/cli/report.js';
import { startDashboard } from '../src/dashboard/server.js';
import { formatMs } from '../src/format.js';
import { readSettings, type Settings } from '../src/settings.js';
import { ensureRedis, stopRedis } from '../src/workers/redis.js';
import { type ClipRow, makeClips, readQuestions } from './clip-files.js';

/*
 * The whole way once, in a folder of its own: a private Redis, a worker process, a clip made from a seed, its questions
 * through the queue. Prints each answer beside the truth, and where the tokens and the time went. With --keep it then shows
 * its jobs in the dashboard until it is told to end. Everything it started is stopped and removed again, however it ends.
 */

const usage = `Usage: npm run demo -- [--seed S] [--keep]

  --seed S  seed of the clip (default: 4)
  --keep    leave queue and worker running, with a dashboard of the demo's jobs, until Ctrl-C`;

/** What happens when the demo is over, last started first stopped. */
type Cleanup = (() => void | Promise<void>)[];

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '4' },
      keep: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help) return console.log(usage);
  if (!/^\d+$/.test(values.seed)) throw new RangeError(`\`--seed\` is a whole number, got ${values.seed}`);
  const cleanup: Cleanup = [];
  const interrupted = new AbortController();
  // A closed terminal is told by SIGHUP, a reader that has gone by an error of the output.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.on(signal, () => interrupted.abort(new CliError(exitCodes.interrupted, 'interrupted')));
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', () => interrupted.abort(new CliError(exitCodes.ok, 'nobody reads on')));
  try {
    await demonstrate(Number(values.seed), values.keep ?? false, cleanup, interrupted.signal);
  } finally {
    for (const undo of cleanup.reverse()) await undo();
  }
}

async function demonstrate(
  seed: number,
  keep: boolean,
  cleanup: Cleanup,
  signal: AbortSignal,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-demo-'));
  cleanup.push(() => rmSync(folder, { recursive: true, force: true }));

  await makeClips(seed, 1, folder);
  const questions = readQuestions(folder);
  const video = join(folder, questions[0]!.video);
  step(`made a clip from seed ${seed}: ${video}`);
  signal.throwIfAborted();

  const settings = readSettings({ VISIONZIP_HOME: join(folder, 'home'), VISIONZIP_VIDEO_DIRS: folder });
  const { connection, address } = await ensureRedis(settings);
  cleanup.push(async () => {
    await stopRedis(settings);
    rmSync(settings.home, { recursive: true, force: true });
  });
  step(`started a Redis server of its own at ${address}`);
  const worker = startWorker(settings);
  cleanup.push(() => stopWorker(worker));
  step(`started a worker, process ${worker.pid}`);

  const client = new QueueClient({ connection });
  cleanup.push(() => client.close());
  const job = { video, questions: questions.map(({ question }) => question) };
  const ended = once(worker, 'exit').then(() => {
    throw new Error('the worker has ended');
  });
  ended.catch(() => {});
  const ask = (input: AskJobInput) => Promise.race([answer(client, input, signal), ended]);

  // The first job also loads the model; without it both jobs below would not start alike.
  // Of another frame, so that the video is new to the questions.
  const first = await ask({
    ...{ ...job, questions: 'Ready?', generation: { maxNewTokens: 1 } },
    sampling: { frames: 1 },
  });
  step(`the worker has loaded ${first.model.name}`);
  const result = await ask(job);
  printAnswers(questions, result);
  console.log(summaryLines(result)[0]);
  const uncompressed = await ask({ ...job, compression: 'none' });
  printTimings(result, uncompressed);
  const again = await ask(job);
  step(
    again.cached
      ? `asked the same again: answered from what was stored, in ${formatMs(again.timings.totalMs)}`
      : 'asked the same again: computed again',
  );
  if (keep) await keepOpen({ settings, connection, cleanup }, signal, ended);
  else console.log(`\nTo watch such jobs in a browser: npm run demo -- --keep`);
}

interface Kept {
  readonly settings: Settings;
  readonly connection: RedisConnection;
  readonly cleanup: Cleanup;
}

/** Shows the demo's jobs in the dashboard for as long as somebody wishes to look; the worker answers new ones meanwhile. */
async function keepOpen(
  { settings, connection, cleanup }: Kept,
  signal: AbortSignal,
  ended: Promise<never>,
): Promise<void> {
  const open = (port: number) => startDashboard({ settings, connection, port });
  const dashboard = await open(3000).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EADDRINUSE') throw error;
    return open(0);
  });
  cleanup.push(() => dashboard.close());
  console.log(`\nThe jobs above, and what the model saw: ${pc.bold(dashboard.url)}`);
  console.log(pc.dim('Ctrl-C ends it, and removes the clip and all else that the demo made.'));
  if (!signal.aborted) await Promise.race([once(signal, 'abort'), ended]);
}

/** The worker as a user starts it, with the demo's own Redis and folder; an empty variable means its default. */
function startWorker({ home, videoDirs }: Settings): ChildProcess {
  const main = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
  const environment = [
    ...['REDIS_URL=', 'VISIONZIP_PREFIX=', 'VISIONZIP_QUEUE='],
    `VISIONZIP_HOME=${home}`,
    `VISIONZIP_VIDEO_DIRS=${videoDirs.join(':')}`,
    // Both of the jobs that are compared do all of the work.
    'VISIONZIP_STORE_MIB=0',
    'VISIONZIP_LOG_LEVEL=warn',
  ];
  return spawn('env', [...environment, process.execPath, main, 'worker'], { stdio: ['ignore', 2, 2] });
}

/** Asks it to end, and kills it where it has not ended after ten seconds. */
async function stopWorker(worker: ChildProcess): Promise<void> {
  if (worker.exitCode !== null || worker.signalCode !== null) return;
  const killer = setTimeout(() => worker.kill('SIGKILL'), 10_000);
  const exited = once(worker, 'exit');
  worker.kill('SIGTERM');
  await exited;
  clearTimeout(killer);
}

async function answer(client: QueueClient, job: AskJobInput, signal: AbortSignal): Promise<Result> {
  const bar = createProgressBar();
  try {
    const id = await client.ask(job);
    const document = await client.wait(id, { signal, onProgress: (progress) => bar.update(progress) });
    if (document.status === 'completed') return document;
    throw new Error(`the job ${document.status}: ${document.error}`);
  } finally {
    bar.clear();
  }
}

function printAnswers(questions: readonly ClipRow[], result: Result): void {
  const table = plainTable(['', 'question', 'answer', 'truth'], [3, 46, 24, 12]);
  let right = 0;
  for (const [i, { question, answer: truth }] of questions.entries()) {
    const { answer } = result.answers[i]!;
    const isRight = normal(answer) === normal(truth);
    if (isRight) right++;
    table.push([isRight ? pc.green('✓') : pc.red('✗'), question, answer, truth]);
  }
  console.log(`\n${table}\n`);
  console.log(`${right} of ${questions.length} answers are right.`);
  console.log(pc.dim(shippedModelNotice));
}

/** Case and a final full stop do not count. */
function normal(text: string): string {
  return text.trim().toLowerCase().replace(/\.$/, '');
}

function printTimings(compressed: Result, none: Result): void {
  const table = plainTable(['where the time went', 'VisionZip', 'no compression']);
  const row = (name: string, value: (result: Result) => string) =>
    table.push([name, value(compressed), value(none)]);
  row('frames × tokens', ({ plan }) => `${plan.frames} × ${plan.tokensPerFrame}`);
  row('prompt tokens', ({ plan }) => String(plan.promptTokens));
  const stages = [
    'queue',
    'probe',
    'choose',
    'decode',
    'preprocess',
    'encode',
    'compress',
    'project',
    'prefill',
    'generate',
  ] as const;
  for (const stage of stages) row(stage, ({ timings }) => formatMs(timings[`${stage}Ms`]));
  row('first token after', ({ timings }) => formatMs(timings.firstTokenMs));
  row('whole job', ({ timings }) => formatMs(timings.totalMs));
  row('inside ONNX Runtime', ({ timings }) => formatMs(timings.onnxMs));
  console.log(`\n${table}`);
  console.log(pc.dim('ffmpeg works beside the other stages: decode is the time spent waiting for it.\n'));
}

function plainTable(head: string[], colWidths: number[] = []) {
  const chars = { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' };
  return new Table({
    head: head.map(pc.bold),
    colWidths,
    wordWrap: true,
    chars,
    style: { head: [], border: [] },
  });
}

function step(text: string): void {
  console.log(pc.dim(`· ${text}`));
}

main().catch((error: Error) => {
  process.exitCode = error instanceof CliError ? error.exitCode : exitCodes.failed;
  if (process.exitCode !== exitCodes.ok) console.error(`demo: ${error.message}`);
});
