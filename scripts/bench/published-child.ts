import { statSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { loadModel } from '../../src/models/load.js';
import { prepareModel } from '../../src/models/prepare/prepare.js';
import type { EncodedFrame, Model } from '../../src/models/types.js';
import { compressFrame } from '../../src/pipeline/compress.js';
import { generate, prefillVideo } from '../../src/pipeline/generate.js';
import { StageClock } from '../../src/pipeline/timings.js';
import { makeTokens } from '../../src/pipeline/tokens.js';
import type { TokenBlock } from '../../src/pipeline/types.js';
import type { ChildRequest, FirstTokenSetting } from './published.js';

// One measurement in a process of its own, so that its peak memory is its own: REQUEST, in JSON. Prints JSON.

const request = JSON.parse(process.argv[2]!) as ChildRequest;
const threads = cpus().length;
/** Beside one to warm up. */
const RUNS = 1;
const measured = request.what === 'prepare' ? await prepare() : await withModel();
console.log(JSON.stringify({ ...measured, peakKib: process.resourceUsage().maxRSS }));

async function prepare() {
  const started = performance.now();
  const { manifest, differences } = await prepareModel(request.dir, { dtype: request.dtype, threads });
  const ms = performance.now() - started;
  const bytes = manifest.weights.reduce((sum, { path }) => sum + statSync(join(request.dir, path)).size, 0);
  return {
    ms: [ms],
    megabytes: bytes / 1e6,
    largest: Math.max(...differences.map(({ largest }) => largest)),
  };
}

async function withModel() {
  const model = await loadModel(request.dir, { threads });
  return request.what === 'firstToken' ? firstTokens(model, request.setting) : encode(model);
}

/** Milliseconds of the tower, and of VisionZip at 54 + 10, for one frame. */
async function encode(model: Model) {
  const { grid } = model.vision;
  const side = grid.rows * 14;
  const pixelValues = Float32Array.from({ length: 3 * side * side }, () => Math.random() - 0.5);
  const ms: number[] = [];
  const compressMs: number[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const started = performance.now();
    const [frame] = await model.vision.encode([{ index: 0, ptsSeconds: 0, pixelValues }]);
    const encoded = performance.now();
    compressFrame(frame!, { dominant: 54, contextual: 10 });
    ms.push(encoded - started);
    compressMs.push(performance.now() - encoded);
  }
  return { ms: ms.slice(1), compressMs: compressMs.slice(1) };
}

/** From what the tower gives to the first token. */
async function firstTokens(model: Model, setting: FirstTokenSetting) {
  const frames = Array.from({ length: setting.frames }, (_, index) => randomFrame(setting, index));
  const question = 'What does the red rectangle do at the end of the video?';
  const video = { ptsSeconds: frames.map(({ ptsSeconds }) => ptsSeconds), durationSeconds: setting.frames };
  const { prefix, suffix } = model.chat.layOut(video, question);
  const runs: { compressMs: number; prefillMs: number; firstTokenMs: number; promptTokens: number }[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const started = performance.now();
    const clock = new StageClock();
    const blocks: TokenBlock[] = [];
    for (const encoded of frames) {
      const frame = { ...encoded, width: 0, height: 0 };
      blocks.push(await makeTokens(model, { frame, encoded: [encoded] }, setting.budget, clock));
    }
    const { compressMs } = clock.record({ decodeSteps: 0, onnxMs: 0 });
    const projected = performance.now();
    const cache = await prefillVideo(model, prefix, { blocks, grid: model.vision.grid, framesTogether: 1 });
    const generation = { maxNewTokens: 1 };
    for await (const event of generate(model, { question, suffix }, cache, { generation })) {
      if (event.type !== 'answer') continue;
      const ended = performance.now();
      const { promptTokens } = event.answer;
      runs.push({ compressMs, prefillMs: ended - projected, firstTokenMs: ended - started, promptTokens });
    }
  }
  const measured = runs.slice(1);
  return {
    compressMs: measured.map((run) => run.compressMs),
    prefillMs: measured.map((run) => run.prefillMs),
    firstTokenMs: measured.map((run) => run.firstTokenMs),
    promptTokens: runs[0]!.promptTokens,
  };
}

function randomFrame({ patches, cls, width, keyWidth }: FirstTokenSetting, index: number): EncodedFrame {
  const floats = (length: number) => Float32Array.from({ length }, () => Math.random() - 0.5);
  const N = patches + (cls ? 1 : 0);
  const [hidden, keys, scores] = [floats(N * width), floats(N * keyWidth), floats(patches)];
  return { index, ptsSeconds: index, N, D: width, K: keyWidth, hidden, keys, scores };
}
