// Writes what the tower makes of the evaluation's short clips, with the questions, their prompts and true answers:
// training/inside.py reads it, and so asks about the same pixels.
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { loadModel } from '../src/models/load.js';
import type { EncodedFrame, Model } from '../src/models/types.js';
import { defaultMaxNewTokens } from '../src/pipeline/generate.js';
import { parseCount } from './arguments.js';
import { encodeClip } from './eval/ask.js';
import { type EvalClip, worldDigest } from './eval/clips.js';
import { type Evaluation, forEachClip, shortClips } from './eval/evaluation.js';

const HELP = `Usage: tower-outputs --out DIR [options]

Writes DIR/clips.json and DIR/{hidden,keys,scores}.f32: little-endian float32, row-major, (F, N, D), (F, N, K) and
(F, P), the frames of all clips one after the other.

Options:
  --model DIR    a prepared model (default models/nano)
  --seed S       of the clips (default 77)
  --count N      clips (default 80)
  --work DIR     folder for clips, as the evaluation's (default .cache/eval)
  --threads N    threads of ONNX Runtime (default 1)
  --help         this text
`;

const arrays = ['hidden', 'keys', 'scores'] as const;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      model: { type: 'string', default: 'models/nano' },
      seed: { type: 'string', default: '77' },
      count: { type: 'string', default: '80' },
      work: { type: 'string', default: '.cache/eval' },
      threads: { type: 'string', default: '1' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return console.log(HELP);
  if (!values.out) throw new TypeError('`--out DIR` is needed');
  const threads = parseCount('threads', values.threads, 1);
  const model = await loadModel(values.model, { threads });
  const seed = parseCount('seed', values.seed, 0);
  const clips = join(values.work, `clips-${worldDigest()}`);
  await write(model, values.out, { seed, clips }, parseCount('count', values.count, 1));
  await model.release();
}

/** The index is written last: where it is, everything is. */
async function write(
  model: Model,
  out: string,
  { seed, clips }: { readonly seed: number; readonly clips: string },
  count: number,
): Promise<void> {
  mkdirSync(out, { recursive: true });
  const index = join(out, 'clips.json');
  rmSync(index, { force: true });
  // Nothing is asked here: what the evaluation asks with is not needed.
  const evaluation = { model, seed, clips, signal: new AbortController().signal } as Evaluation;
  const files = arrays.map((name) => ({ name, file: openSync(join(out, `${name}.f32`), 'w') }));
  const described: unknown[] = [];
  let shape: object = {};
  await forEachClip(evaluation, 'tower', shortClips(evaluation, count), async (clip) => {
    const frames = await encodeClip(model, clip);
    for (const frame of frames) for (const { name, file } of files) writeSync(file, frame[name]);
    described.push(describe(model, clip, frames));
    const { N, D, K, scores } = frames[0]!;
    shape = { N, D, K, P: scores.length };
  });
  for (const { file } of files) closeSync(file);
  const { imageTokenId } = model.chat;
  const { eosTokenIds } = model.language;
  const of = { name: model.name, digest: model.digest, imageTokenId, eosTokenIds };
  const document = { model: of, seed, maxNewTokens: defaultMaxNewTokens, ...shape, clips: described };
  writeFileSync(index, `${JSON.stringify(document)}\n`);
}

/** A clip's prompts as the evaluation lays them out. `prefix` holds one image token a frame. */
function describe({ chat }: Model, { id, rows }: EvalClip, frames: readonly EncodedFrame[]) {
  const ptsSeconds = frames.map((frame) => frame.ptsSeconds);
  const video = { ptsSeconds, durationSeconds: ptsSeconds.at(-1) ?? 0 };
  const prompts = rows.map(({ question }) => chat.layOut(video, question));
  return {
    ...{ id, ptsSeconds, prefix: prompts[0]!.prefix },
    questions: rows.map((row, i) => ({ ...row, suffix: prompts[i]!.suffix })),
  };
}

main().catch((error: Error) => {
  console.error(`tower-outputs: ${error.message}`);
  process.exit(1);
});
