import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { type Format, formats } from '../../src/batch/readers/index.js';
import { exitCodes } from '../../src/cli/exit.js';
import { forgetAnswers } from '../bench/redis-use.js';
import { createRandom, type Random } from '../clips/index.js';
import { makeDataset } from '../dataset-rows.js';
import { documentOf, type Running, Stage } from '../stage.js';
import { type Fields, writeRowsFile } from './rows-file.js';
import type { Listeners } from './run.js';

export interface BatchChaosOptions {
  readonly rows: number;
  readonly clips: number;
  /** SIGKILLs of the batch in each format. */
  readonly kills: number;
  readonly workers: number;
  readonly seed: number;
}

/** What became of a batch in one format. */
export interface FormatOutcome {
  readonly format: Format;
  readonly seconds: { readonly undisturbed: number; readonly killed: number };
  /** How many rows were answered at each kill. */
  readonly killedAt: readonly number[];
  readonly accuracy: number;
  readonly failed: number;
}

export interface BatchChaosReport extends BatchChaosOptions {
  readonly formats: readonly FormatOutcome[];
  readonly violations: readonly string[];
}

/** One row in so many names a file that is no video. */
const brokenEvery = 100;
const lookMs = 20;
/** Kills come before this share of the rows is answered, so that rows are left for those that come later. */
const killedShare = 0.8;
/** Longest time between the row after which a batch is killed and the kill, in milliseconds. */
const pauseMs = 300;

/** In each format a batch is run undisturbed, and then killed: both shall come to the same. */
export async function runBatchChaos(
  options: BatchChaosOptions,
  { signal, say }: Listeners,
): Promise<BatchChaosReport> {
  const { rows, clips, seed, workers } = options;
  const stage = new Stage();
  const violations: string[] = [];
  const outcomes: FormatOutcome[] = [];
  try {
    await stage.open();
    say(`making ${clips} clips`);
    const dataset = await makeDataset(stage.videos, { rows, clips, seed, signal });
    const broken = join(stage.videos, 'broken.mp4');
    writeFileSync(broken, 'This is no video.');
    const asked: Fields[] = dataset.map((row, i) => ({
      ...row,
      video: i % brokenEvery === 7 ? broken : row.video,
    }));
    await stage.startWorkers(workers);
    for (const format of formats) {
      const random = createRandom(`chaos/batch/${seed}/${format}`);
      const { outcome, faults } = await tryFormat(stage, format, asked, { ...options, random, signal });
      outcomes.push(outcome);
      violations.push(...faults.map((fault) => `${format}: ${fault}`));
      say(describeOutcome(outcome));
    }
    return { ...options, formats: outcomes, violations };
  } finally {
    await stage.close();
  }
}

interface Trial {
  readonly kills: number;
  readonly random: Random;
  readonly signal: AbortSignal;
}

async function tryFormat(
  stage: Stage,
  format: Format,
  rows: readonly Fields[],
  { kills, random, signal }: Trial,
): Promise<{ readonly outcome: FormatOutcome; readonly faults: string[] }> {
  const file = await writeRowsFile(stage.root, format, rows);
  const [whole, killed] = ['whole', 'killed'].map((name) => join(stage.root, `${name}.jsonl`)) as [
    string,
    string,
  ];
  for (const out of [whole, killed]) for (const end of ['', '.run.json']) rmSync(out + end, { force: true });
  const start = (out: string) => stage.command(['batch', file, '--out', out, '--json']);
  await forgetAnswers(stage);
  const undisturbed = await secondsOf(() => toEnd(start(whole), signal));
  await forgetAnswers(stage);
  const killedAt: number[] = [];
  const disturbed = await secondsOf(async () => {
    const moments = Array.from({ length: kills }, () => random.index(Math.ceil(killedShare * rows.length)));
    for (const moment of moments.sort((a, b) => a - b)) {
      const at = await killAfter(start(killed), killed, moment, random.between(0, pauseMs), signal);
      if (at !== null) killedAt.push(at);
    }
    await toEnd(start(killed), signal);
  });
  const [scores, scoresKilled] = await Promise.all([whole, killed].map((out) => scoresOf(stage, out)));
  const missed = `only ${killedAt.length} of ${kills} kills came before its end: ask more rows`;
  const faults = [
    ...(linesOf(whole).length === rows.length ? [] : [`the undisturbed output has not ${rows.length} rows`]),
    ...(isDeepStrictEqual(linesOf(killed), linesOf(whole)) ? [] : ['the files differ beside `run`']),
    ...(isDeepStrictEqual(scoresKilled, scores) ? [] : ['the reports differ in their scores']),
    ...(killedAt.length === kills ? [] : [missed]),
  ];
  const { accuracy, rows: counts } = scores!;
  const seconds = { undisturbed, killed: disturbed };
  return {
    outcome: { format, seconds, killedAt, accuracy: accuracy.value, failed: counts.failed },
    faults,
  };
}

/** Some rows fail, which the exit code says. */
async function toEnd({ child, ended }: Running, signal: AbortSignal): Promise<void> {
  const onAbort = () => child.kill('SIGKILL');
  signal.addEventListener('abort', onAbort);
  const { code, stderr } = await ended;
  signal.removeEventListener('abort', onAbort);
  signal.throwIfAborted();
  if (code !== exitCodes.failed) throw new Error(`a batch ended with exit code ${code}: ${stderr.trim()}`);
}

/**
 * Kills a batch once it has answered more rows than so many, and one at least since it was begun. Returns how many were answered
 * then; null where it had ended before.
 */
async function killAfter(
  { child, ended }: Running,
  out: string,
  rows: number,
  laterMs: number,
  signal: AbortSignal,
): Promise<number | null> {
  const least = Math.max(rows, answeredIn(out));
  try {
    while (answeredIn(out) <= least && child.exitCode === null) await pause(lookMs, null, { signal });
    await pause(laterMs, null, { signal });
    return child.exitCode === null ? answeredIn(out) : null;
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
}

function answeredIn(out: string): number {
  return existsSync(out) ? readFileSync(out, 'utf8').split('"status":"completed"').length - 1 : 0;
}

/** The rows of an output but for what their jobs were and took. */
function linesOf(out: string): unknown[] {
  const lines = readFileSync(out, 'utf8').trimEnd().split('\n');
  return lines.map((line) => ({ ...JSON.parse(line), run: undefined }));
}

interface Scores {
  readonly accuracy: { readonly value: number };
  readonly rows: { readonly failed: number };
  readonly rest: readonly unknown[];
}

/** Of a report all but times, and what was answered from what was stored. */
async function scoresOf(stage: Stage, out: string): Promise<Scores> {
  const report = await documentOf(stage.command(['report', out, '--json']));
  const { accuracy, rows, byKind, byCategory, tokens, failures, wrong } = report as unknown as Scores &
    Readonly<Record<string, unknown>>;
  return {
    accuracy,
    rows: { ...rows, cached: undefined } as Scores['rows'],
    rest: [byKind, byCategory, tokens, failures, wrong],
  };
}

async function secondsOf(work: () => Promise<void>): Promise<number> {
  const started = performance.now();
  await work();
  return (performance.now() - started) / 1000;
}

function describeOutcome({ format, seconds, killedAt, accuracy, failed }: FormatOutcome): string {
  const { undisturbed, killed } = seconds;
  return (
    `${format.padEnd(8)} ${undisturbed.toFixed(0)} s undisturbed, ${killed.toFixed(0)} s killed at ${killedAt.join(', ')} rows; ` +
    `${(100 * accuracy).toFixed(1)} % right, ${failed} failed`
  );
}

export function describeBatchChaos({ rows, clips, formats, violations }: BatchChaosReport): string {
  return [
    `rows        ${rows} about ${clips} clips, in each format`,
    ...formats.map(describeOutcome),
    violations.length === 0 ? 'violations  none' : `violations  ${violations.length}:`,
    ...violations.map((violation) => `  ${violation}`),
  ].join('\n');
}
