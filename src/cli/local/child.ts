import { loadModel } from '../../model/load.js';
import { answerVideo } from '../../pipeline/answer.js';
import { InputError } from '../../pipeline/errors.js';
import type { Model } from '../../pipeline/model.js';
import type { Progress } from '../../pipeline/types.js';
import { readSettings } from '../../settings.js';
import { FileDigests } from '../../workers/digest.js';
import { buildResult } from '../../workers/document.js';
import { messageOf } from '../format.js';
import { frameSaver } from './frames.js';
import type { LocalJob, Order, Report } from './messages.js';

/*
 * The model process of the command line: started by ModelProcess, told what to do by messages. It keeps the model that
 * it loaded last.
 */

const settings = readSettings();
const digests = new FileDigests();
let loaded: { readonly folder: string; readonly model: Model } | null = null;
let current: AbortController | null = null;

process.on('message', (order: Order) => {
  if (order.type === 'abort') current?.abort(new Error('the job was stopped'));
  else void answer(order.job);
});

// Whoever started this process has gone, even if by SIGKILL: end, and ffmpeg in the same process group too.
process.on('disconnect', () => process.kill(-process.pid, 'SIGKILL'));

async function answer(job: LocalJob): Promise<void> {
  current = new AbortController();
  try {
    send({ type: 'result', result: await compute(job, current.signal) });
  } catch (error) {
    send({
      type: 'error',
      isInputError: error instanceof InputError,
      message: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    });
  }
}

async function compute({ job, modelFolder, saveFrames }: LocalJob, signal: AbortSignal) {
  const { video, questions, sampling, compression, generation } = job;
  const videoDigest = await digests.of(video, settings.limits.maxBytes, signal);
  const model = await modelOf(modelFolder);
  signal.throwIfAborted();
  const outcome = await answerVideo(
    model,
    { video, questions, sampling, compression, generation, limits: settings.limits },
    {
      onProgress: reportProgress,
      onText: (questionIndex, text) => send({ type: 'text', questionIndex, text }),
      onFrame: saveFrames === undefined ? undefined : await frameSaver(saveFrames, modelFolder, model),
    },
    signal,
  );
  return buildResult({ id: 'local', job, outcome, videoDigest, model });
}

async function modelOf(folder: string): Promise<Model> {
  if (loaded?.folder === folder) return loaded.model;
  await loaded?.model.release();
  reportProgress({ stage: 'load', framesDone: 0, framesTotal: 0, answersDone: 0, answersTotal: 0 });
  loaded = { folder, model: await loadModel(folder, { threads: settings.threads }) };
  return loaded.model;
}

function reportProgress(progress: Progress): void {
  send({ type: 'progress', progress });
}

function send(report: Report): void {
  process.send?.(report);
}
