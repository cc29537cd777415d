import type { Command } from 'commander';
import type { AskJob } from '../../queues/schemas.js';
import { settings } from './connect.js';
import { type ExitCode, exitCodes } from './exit.js';
import { type LocalModel, type LocalOptions, withLocalModel } from './local-model.js';
import { tellOfShippedModel } from './notice.js';
import {
  addChoiceOption,
  addJobOptions,
  buildJob,
  type JobOptions,
  jobSettings,
  withOptions,
} from './options.js';
import { pictureFolders } from './pictures.js';
import { createProgressBar, type ProgressBar } from './progress.js';
import { AnswerPrinter, printSummary, reportDocument, reportEach } from './report.js';
import { addCommonOptions, type Context, command } from './run.js';
import { splitVideos, videosHelp } from './videos.js';

interface AskOptions extends JobOptions {
  readonly option?: string[];
  readonly saveFrames?: string;
  readonly debug?: boolean;
}

export function addAsk(program: Command): void {
  const ask = program
    .command('ask')
    .summary('answer questions about videos here and now, without Redis')
    .description(
      'Answers questions about videos in this process tree: no Redis and no worker are needed. The answer appears as it is generated. ' +
        `${videosHelp} A video that fails ends nothing but itself; the exit code then is 1. With --json, several videos are a document each on a line of its own.`,
    )
    .usage('[options] <video...> <question...>')
    .argument('<video>', 'a video or picture file; more may follow')
    .argument('<question...>', 'one or several questions; a video is encoded once for all of them');
  addChoiceOption(
    addJobOptions(ask, "a model's name below the models folder, or the path of its folder"),
  ).option(
    '--save-frames <dir>',
    'write each frame as PNG into this folder, with the dominant patches marked; of several videos into one folder each below it',
  );
  addCommonOptions(ask, [
    'ask clip.mp4 "What colour is the circle?"',
    'ask clip.mp4 "How many objects are there?" "Which way does the star move?" --frames 16',
    'ask *.mp4 "How many objects are there?" --json > answers.jsonl',
    'ask lecture.mp4 "What is on the board?" --start 12:30 --end 14:00 --compression 54+10',
    'ask clip.mp4 "What colour is the star?" --option red --option blue --json',
    'ask clip.mp4 "What moves?" --save-frames pictures --json > answer.json',
  ]).action(command(runAsk));
}

async function runAsk(context: Context, first: string, rest: string[], options: AskOptions) {
  const { videos, questions: texts } = splitVideos(first, rest);
  const questions = withOptions(texts, options.option);
  const { model: wanted, ...chosen } = jobSettings(options);
  const jobs = videos.map((video) => buildJob(video, questions, chosen));
  const { saveFrames } = options;
  const folders = saveFrames === undefined ? [] : await pictureFolders(saveFrames, videos);
  return withLocalModel(wanted, async (model) => {
    const [only] = jobs as [AskJob];
    if (options.debug) await tellOfSandbox();
    tellOfShippedModel(model);
    if (jobs.length === 1) return askHere(model, only, context, { saveFrames: folders[0] });
    return reportEach(videos, context, (_, i) => {
      const job = jobs[i]!;
      return askHere(model, job, context, { saveFrames: folders[i], video: job.video });
    });
  });
}

async function tellOfSandbox(): Promise<void> {
  const { decoderSandbox, useDecoder } = await import('../media/ffmpeg.js');
  useDecoder(settings().decoder);
  process.stderr.write(`visionzip: sandbox of the decoder: ${await decoderSandbox()}\n`);
}

interface Asking {
  readonly saveFrames?: string;
  /** One of several: see `reportDocument`. */
  readonly video?: string;
}

/** When the last answer was there, in milliseconds from the start of this process. */
let finishedAtMs = 0;

async function askHere(
  model: LocalModel,
  checked: AskJob,
  context: Context,
  asking: Asking,
): Promise<ExitCode> {
  const job = { ...checked, model: model.name };
  const bar = createProgressBar();
  const printer = new AnswerPrinter(job.questions);
  try {
    const listeners = context.json ? quietly(bar) : aloud(bar, printer);
    const { saveFrames, video } = asking;
    const document = await model.document(job, { ...listeners, signal: context.signal, saveFrames });
    printer.end();
    bar.clear();
    if (context.json || document.status !== 'completed') return reportDocument(document, context, { video });
    const now = performance.now();
    printSummary(document, now - finishedAtMs);
    finishedAtMs = now;
    return exitCodes.ok;
  } finally {
    printer.end();
    bar.clear();
  }
}

function quietly(bar: ProgressBar): Pick<LocalOptions, 'onProgress' | 'onText'> {
  return { onProgress: (progress) => bar.update(progress) };
}

/** Progress until the first word, from then on the answers as they are generated. */
function aloud(bar: ProgressBar, printer: AnswerPrinter): Pick<LocalOptions, 'onProgress' | 'onText'> {
  let isPrinting = false;
  return {
    onProgress: (progress) => {
      if (!isPrinting) bar.update(progress);
    },
    onText: (index, text) => {
      isPrinting = true;
      bar.clear();
      printer.text(index, text);
    },
  };
}
