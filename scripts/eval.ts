import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describeModel } from '../src/models/folder.js';
import { loadModel } from '../src/models/load.js';
import type { Model } from '../src/models/types.js';
import { evaluateBeside } from './eval/beside.js';
import { practiceRows, worldDigest } from './eval/clips.js';
import { evaluateContainers } from './eval/containers.js';
import type { Method } from './eval/controls.js';
import { curveMethods, curveOutcome, curveSettings } from './eval/curve.js';
import { type Evaluation, type PartOutcome, shortClips } from './eval/evaluation.js';
import { evaluateFlash } from './eval/flash.js';
import { evaluateHalf } from './eval/half.js';
import { Journal } from './eval/journal.js';
import { codeDigest, digestOf, shortDigest } from './eval/keys.js';
import { type EvalOptions, type PartName, parseOptions, usage } from './eval/options.js';
import { evaluateOverTime } from './eval/over-time.js';
import { aroundMarkers, report, writeReport } from './eval/report.js';
import type { ClipResult } from './eval/results.js';
import { keptId, loadProjectors, mainBudget, type Project, workersProjector } from './eval/settings.js';
import { mistakesOf, shortOutcome, shortSettings, trainedSetting } from './eval/short.js';
import { answerShortClips } from './eval/short-clips.js';
import { evaluateVideo } from './eval/video.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const resultsFile = join(root, 'docs/results.md');

/** The model that is evaluated, and those it is compared with, where they are wanted. */
interface Models {
  readonly model: Model;
  readonly trained: Model | undefined;
  readonly smaller: Model | undefined;
}

type Outcomes = Readonly<Record<string, PartOutcome>>;

async function main(): Promise<void> {
  const options = readOptions();
  if (options.help) return console.log(usage);
  const ending = new AbortController();
  process.once('exit', () => ending.abort());
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  requireTargets(options);
  const models = await load(options);
  const evaluation = await prepare(models.model, options, ending.signal);
  console.error(`eval: clips and results so far are in ${options.work}`);
  const { parts, flashClips, flashSeconds, besideClips, containerClips } = options;
  const outcomes: Outcomes = {
    ...(await evaluateShortClips(evaluation, models.trained, options)),
    ...(parts.has('flash') && { flash: await evaluateFlash(evaluation, flashClips, flashSeconds) }),
    ...(parts.has('half') && { half: await evaluateHalf(evaluation, options.count) }),
    ...(models.smaller && { beside: await evaluateBeside(evaluation, models.smaller, besideClips) }),
    ...(parts.has('over-time') && { overTime: await evaluateOverTime(evaluation, options.overTimeClips) }),
    ...(parts.has('video') && { video: await evaluateVideo(evaluation, options) }),
    ...(parts.has('containers') && { containers: await evaluateContainers(evaluation, containerClips) }),
  };
  await Promise.all(Object.values(models).map((model: Model | undefined) => model?.release()));
  print(models.model, options, outcomes);
}

/** Ends the process where the command line makes no sense. */
function readOptions(): EvalOptions {
  try {
    return parseOptions(process.argv.slice(2), root);
  } catch (error) {
    console.error(`eval: ${(error as Error).message}`);
    process.exit(2);
  }
}

/** What is to be written at the end must be known to work at the start. */
function requireTargets({ json, write, work }: EvalOptions): void {
  if (write) aroundMarkers(resultsFile);
  if (json !== undefined && json !== '-') appendFileSync(json, '');
  mkdirSync(work, { recursive: true });
}

async function load({ model, trained, beside, parts, threads }: EvalOptions): Promise<Models> {
  return {
    model: await loadModel(model, { threads }),
    trained: trained && parts.has('short') ? await loadModel(trained, { threads }) : undefined,
    smaller: beside && parts.has('beside') ? await loadModel(beside, { threads }) : undefined,
  };
}

async function prepare(model: Model, options: EvalOptions, signal: AbortSignal): Promise<Evaluation> {
  const { seed, frames, projectors, threads, work } = options;
  const others = curveMethods.filter((method) => !['visionzip', 'suppressed', 'coverage'].includes(method));
  const tuned = new Map<Method, Project>(projectors ? await loadProjectors(projectors, others, threads) : []);
  const { manifest } = await describeModel(options.model);
  if (manifest.files.projectorTuned) {
    for (const method of ['visionzip', 'suppressed', 'coverage'] as const)
      tuned.set(method, workersProjector(model));
  }
  const world = worldDigest();
  const same = {
    ...{ model: model.digest, seed, frames, world, code: codeDigest() },
    projectors: projectors && digestOf(projectors, '.onnx'),
  };
  return {
    ...{ model, tuned, seed, frames, signal },
    clips: join(work, `clips-${world}`),
    journal: (part, about) => new Journal(join(work, `${part}-${shortDigest({ ...same, about })}.jsonl`)),
  };
}

/** Both parts on short clips in one pass, and another one with a model that was trained with compression. */
async function evaluateShortClips(
  evaluation: Evaluation,
  trained: Model | undefined,
  { parts, count, curveClips, mistakes }: EvalOptions,
): Promise<Partial<Record<PartName, PartOutcome>>> {
  const { model, tuned } = evaluation;
  const short = { clips: parts.has('short') ? count : 0, settings: shortSettings(evaluation) };
  const curve = { clips: parts.has('curve') ? curveClips : 0, settings: curveSettings(evaluation) };
  const results = await answerShortClips(evaluation, {
    ...{ title: 'short clips', model, journal: evaluation.journal('short') },
    clips: Math.max(short.clips, curve.clips),
    settingsOf: (clip) => {
      const wanted = [short, curve].flatMap(({ clips, settings }) => (clip < clips ? settings : []));
      return [...new Map(wanted.map((setting) => [setting.id, setting])).values()];
    },
  });
  const ofShort = await withTrained(evaluation, results.slice(0, short.clips), trained);
  if (mistakes) printMistakes(evaluation, ofShort);
  const practice = practiceRows(shortClips(evaluation, 0));
  return {
    ...(short.clips > 0 && { short: shortOutcome(model, ofShort, practice) }),
    ...(curve.clips > 0 && { curve: curveOutcome(model, results.slice(0, curve.clips), [...tuned.keys()]) }),
  };
}

async function withTrained(
  evaluation: Evaluation,
  results: readonly ClipResult[],
  trained: Model | undefined,
): Promise<readonly ClipResult[]> {
  if (!trained) return results;
  const more = await answerShortClips(evaluation, {
    ...{ title: 'trained with it', model: trained, clips: results.length },
    journal: evaluation.journal('trained', trained.digest),
    settingsOf: () => [trainedSetting(evaluation.model, trained)],
  });
  return results.map((result, i) => ({ ...result, answered: { ...result.answered, ...more[i]!.answered } }));
}

/** With all tokens and with VisionZip. */
function printMistakes({ model, tuned }: Evaluation, results: readonly ClipResult[]): void {
  const T = mainBudget(model);
  const own = tuned.has('visionzip') ? [keptId('visionzip', T, true)] : [];
  for (const mistake of mistakesOf(results, ['all', keptId('visionzip', T), ...own])) {
    console.error(JSON.stringify(mistake));
  }
}

function print(model: Model, options: EvalOptions, outcomes: Outcomes): void {
  const { seed, command, json } = options;
  const parts = Object.entries(outcomes);
  const text = report(
    command,
    model.name,
    seed,
    parts.flatMap(([, { tables }]) => tables),
  );
  const data = Object.fromEntries(parts.map(([part, outcome]) => [part, outcome.data]));
  const { name, digest } = model;
  const document = JSON.stringify({ command, seed, model: { name, digest }, ...data }, null, 2);
  console.log(json === '-' ? document : text);
  if (json !== undefined && json !== '-') writeFileSync(json, `${document}\n`);
  if (options.write) writeReport(resultsFile, text);
}

main().catch((error: Error) => {
  console.error(`eval: ${error.message}`);
  process.exit(1);
});
