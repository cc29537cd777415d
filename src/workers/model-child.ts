/**
 * The entry of a model process: it loads a model on demand, keeps it, and answers one job after the other.
 *
 * ONNX Runtime blocks the thread for as long as a run takes, so `abort` and `disconnect` are heard between
 * runs. When the worker is gone, this process ends with its group and its decoders, each of which has a group too.
 */

import { InputError } from '../errors.js';
import { decoderSandbox, useDecoder } from '../media/ffmpeg.js';
import { killDecoders } from '../media/sandbox.js';
import type { Model } from '../models/types.js';
import type { VideoSession } from '../pipeline/answer.js';
import { PrefixCache } from '../pipeline/prefix-cache.js';
import type { AnswerOptions } from '../pipeline/types.js';
import { changeFile } from '../sources/changes.js';
import { TokenStore } from '../sources/token-store.js';
import type { FromModel, ModelOrder, SentError, ToModel } from './messages.js';
import type { SightMaker } from './sight-maker.js';

interface Loaded {
  readonly key: string;
  readonly model: Model;
}

// The large libraries load while the first order is on its way and the sandbox is looked for.
const loading = import('../models/load.js');
const answering = import('../pipeline/answer.js');

let loaded: Loaded | null = null;
/** A video that is to be asked again. */
let kept: { readonly key: string; readonly session: VideoSession } | null = null;
/** Of the model that is loaded. */
let prefixes: PrefixCache | null = null;
/** The folder of encoded videos that is in use. */
let tokenStore: TokenStore | null = null;
let current: { readonly run: number; readonly controller: AbortController } | null = null;
/** By the name of a sight that was offered: hears whether it is wanted. */
const offers = new Map<string, (isWanted: boolean) => void>();

process.on('message', (message: ToModel) => {
  if (message.type === 'run') void answer(message.run, message.order);
  else if (message.type === 'wanted') offers.get(message.name)?.(message.isWanted);
  else if (current?.run === message.run) current.controller.abort(new Error('the run was aborted'));
});
process.on('disconnect', endGroup);
process.on('unhandledRejection', (reason) => {
  const code = (reason as NodeJS.ErrnoException | null)?.code ?? '';
  if (code === 'EPIPE' || code.startsWith('ERR_IPC_')) endGroup();
  throw reason;
});

async function answer(run: number, order: ModelOrder): Promise<void> {
  const controller = new AbortController();
  current = { run, controller };
  try {
    if (order.decoder) useDecoder(order.decoder);
    // Looked for beside the loading of code, and found before that of weights, which stops this thread's clock. What
    // keeps it from being found is told where the video is opened.
    const sandbox = decoderSandbox().catch(() => {});
    await sandbox;
    const model = await modelOf(order, run);
    controller.signal.throwIfAborted();
    const options: AnswerOptions = {
      signal: controller.signal,
      onProgress: (progress) => say({ type: 'progress', run, progress }),
      onText: (questionIndex, text) => say({ type: 'text', run, questionIndex, text }),
      changes: order.changeFile === undefined ? undefined : changeFile(order.changeFile),
      onAnswer: order.tellAnswers
        ? (outcome, questionIndex) => say({ type: 'answer', run, questionIndex, outcome })
        : undefined,
      onFrame:
        order.saveFrames === undefined
          ? undefined
          : await (await import('./pictures.js')).pictureWriter(order.saveFrames, model),
    };
    const maker = order.tellSight ? await sightMaker(model, run) : undefined;
    const session = await sessionOf(order, model);
    const { questions, history } = order.request;
    const outcome = await session.ask(questions, { ...options, history, onlooker: maker });
    await maker?.end();
    say({ type: 'done', run, outcome });
  } catch (error) {
    say({ type: 'failed', run, error: packError(error) });
  } finally {
    current = null;
  }
}

async function sightMaker({ vision }: Model, run: number): Promise<SightMaker> {
  const { SightMaker } = await import('./sight-maker.js');
  return new SightMaker(vision, {
    tell: (sight) => say({ type: 'sight', run, sight }),
    isWanted: (name) => offer(run, name),
  });
}

async function offer(run: number, name: string): Promise<boolean> {
  const isWanted = new Promise<boolean>((resolve) => offers.set(name, resolve));
  say({ type: 'offer', run, name });
  return isWanted.finally(() => offers.delete(name));
}

/** The session that was kept for this video, asked in the same way of the same model; else a new one. */
async function sessionOf(order: ModelOrder, model: Model): Promise<VideoSession> {
  const { keepVideo, request, videoKey, identity, store, prefixBytes = 0 } = order;
  const { questions: _, history: __, ...video } = request;
  const key = JSON.stringify([model.digest, videoKey, video]);
  if (kept?.key === key) return kept.session;
  const { VideoSession } = await answering;
  prefixes ??= new PrefixCache(prefixBytes);
  const session = new VideoSession(model, video, {
    ...{ videoKey, identity, prefixes },
    ...(store && { store: storeOf(store) }),
  });
  kept = keepVideo ? { key, session } : null;
  return session;
}

function storeOf({ dir, limitBytes }: NonNullable<ModelOrder['store']>): TokenStore {
  if (tokenStore?.dir !== dir || tokenStore.limitBytes !== limitBytes)
    tokenStore = new TokenStore(dir, limitBytes);
  return tokenStore;
}

async function modelOf(order: ModelOrder, run: number): Promise<Model> {
  const { modelDir, modelDigest, threads, provider, request } = order;
  const key = keyOf(order, modelDigest);
  if (loaded?.key === key) return loaded.model;
  const answersTotal = request.questions.length;
  const progress = { stage: 'load' as const, framesDone: 0, framesTotal: 0, answersDone: 0, answersTotal };
  say({ type: 'progress', run, progress });
  const before = loaded;
  loaded = null;
  kept = null;
  prefixes = null;
  await before?.model.release();
  const { loadModel } = await loading;
  const model = await loadModel(modelDir, { threads, provider });
  loaded = { key: keyOf(order, model.digest), model };
  if (loaded.key === key) return model;
  throw new Error(
    `the model in ${modelDir} changed: expected the digest ${modelDigest}, got ${model.digest}`,
  );
}

function keyOf({ modelDir, threads, provider }: ModelOrder, digest: string): string {
  return JSON.stringify([modelDir, digest, threads, provider]);
}

function say(message: FromModel): void {
  process.send?.(message);
}

function packError(error: unknown): SentError {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const code = 'code' in error ? String(error.code) : undefined;
  const fault = error instanceof InputError ? error.fault : undefined;
  return { name: error.name, message: error.message, code, fault };
}

/** Ends this process and whatever it started. */
function endGroup(): never {
  killDecoders();
  try {
    process.kill(-process.pid, 'SIGKILL');
  } catch {
    // It leads no group: nobody forked it the way ModelProcess does.
  }
  process.exit(1);
}
