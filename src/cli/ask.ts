import { resolve } from 'node:path';
import type { Command } from 'commander';
import { exitCodes } from './exit.js';
import { type Listeners, withLocalModel } from './local-model.js';
import { addJobOptions, buildJob, type JobOptions, jobSettings } from './options.js';
import { createProgressBar, type ProgressBar } from './progress.js';
import { AnswerPrinter, printSummary, reportDocument } from './report.js';
import { addCommonOptions, type Context, command } from './run.js';

interface AskOptions extends JobOptions {
  readonly saveFrames?: string;
}

export function addAsk(program: Command): void {
  const ask = program
    .command('ask')
    .summary('answer questions about a video here and now, without Redis')
    .description(
      'Answers questions about a video in this process tree: no Redis and no worker are needed. The answer appears as it is generated.',
    )
    .argument('<video>', 'a video or picture file')
    .argument('<question...>', 'one or several questions; the video is encoded once');
  addJobOptions(ask, "a model's name below the models folder, or the path of its folder").option(
    '--save-frames <dir>',
    'write each frame as PNG into this folder, with the dominant patches marked',
  );
  addCommonOptions(ask, [
    'ask clip.mp4 "What colour is the circle?"',
    'ask clip.mp4 "How many objects are there?" "Which way does the star move?" --frames 16',
    'ask lecture.mp4 "What is on the board?" --start 12:30 --end 14:00 --compression 54+10',
    'ask clip.mp4 "What moves?" --save-frames pictures --json > answer.json',
  ]).action(command(runAsk));
}

async function runAsk(context: Context, video: string, questions: string[], options: AskOptions) {
  const saveFrames = options.saveFrames === undefined ? undefined : resolve(options.saveFrames);
  const checked = buildJob(video, questions, { ...jobSettings(options), model: undefined });
  return withLocalModel(options.model, async (model) => {
    const job = { ...checked, model: model.name };
    const bar = createProgressBar();
    const printer = new AnswerPrinter(job.questions);
    try {
      const listeners = context.json ? quietly(bar) : aloud(bar, printer);
      const document = await model.document(job, listeners, context.signal, saveFrames);
      printer.end();
      bar.clear();
      if (context.json || document.status !== 'completed') return reportDocument(document, context);
      printSummary(document);
      return exitCodes.ok;
    } finally {
      printer.end();
      bar.clear();
    }
  });
}

function quietly(bar: ProgressBar): Listeners {
  return { onProgress: (progress) => bar.update(progress) };
}

/** Progress until the first word, from then on the answers as they are generated. */
function aloud(bar: ProgressBar, printer: AnswerPrinter): Listeners {
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
