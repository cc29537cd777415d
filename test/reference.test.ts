import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Frame } from '../src/media/types.js';
import { loadModel } from '../src/models/load.js';
import type { EncodedFrame, KvCache, Model, Prompt, TokenBudget } from '../src/models/types.js';
import { compressFrame } from '../src/pipeline/compress.js';
import { generate, prefillVideo } from '../src/pipeline/generate.js';
import { StageClock } from '../src/pipeline/timings.js';
import { makeTokens } from '../src/pipeline/tokens.js';
import type { CompressedFrame, TokenBlock } from '../src/pipeline/types.js';
import { asVideo } from './support/published.js';

/*
 * The shipped model against transformers' LlavaForConditionalGeneration in float32, from the pixels to the answer.
 * Tolerances are absolute and relative together: |ours − theirs| ≤ tolerance · (1 + |theirs|).
 */

const script = 'training/make_reference_fixture.py';
const nano = fileURLToPath(new URL('../models/nano', import.meta.url));
const folder = fileURLToPath(new URL('fixtures/reference', import.meta.url));
const ids = z.array(z.int());
const index = z
  .object({
    /** sha256 of the model's files. */
    model: z.record(z.string(), z.string()),
    budget: z.object({ dominant: z.int(), contextual: z.int() }),
    maxNewTokens: z.int(),
    /** Width and height of the frames in `decoded`. */
    decodedSize: z.tuple([z.int(), z.int()]),
    clips: z.array(
      z.object({
        ptsSeconds: z.array(z.number()),
        questions: z.array(
          z.object({
            question: z.string(),
            promptIds: ids,
            answerIds: z.object({ none: ids, visionzip: ids }),
          }),
        ),
        /** Of the clip's first frame, as are its rows in `hidden`, `keys`, `scores` and `compressed`. */
        dominantIndices: ids,
        contextualMembers: z.array(ids),
      }),
    ),
  })
  .parse(JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')));

const bytes = (name: string) => new Uint8Array(gunzipSync(readFileSync(join(folder, `${name}.gz`))));
/** Stored as four planes, the lowest bytes of all numbers first. */
function floats(name: string): Float32Array {
  const planes = bytes(`${name}.f32`);
  const count = planes.length / 4;
  const whole = planes.map((_, at) => planes[(at % 4) * count + Math.floor(at / 4)]!);
  return new Float32Array(whole.buffer);
}
const stored = {
  frames: bytes('frames.u8'),
  decoded: bytes('decoded.u8'),
  decodedPixelValues: floats('pixel_values'),
  hidden: floats('hidden'),
  keys: floats('keys'),
  scores: floats('scores'),
  compressed: floats('compressed'),
  logits: floats('logits'),
};
const sides = ['none', 'visionzip'] as const;

/** The i-th of `count` equal parts. */
const part = (array: Float32Array, i: number, count: number) =>
  array.subarray((array.length / count) * i, (array.length / count) * (i + 1));

/** max |actual − expected| / (1 + |expected|). */
function difference(actual: Float32Array, expected: Float32Array): number {
  expect(actual).toHaveLength(expected.length);
  return expected.reduce((worst, e, i) => Math.max(worst, Math.abs(actual[i]! - e) / (1 + Math.abs(e))), 0);
}

function framesOf(clip: number): Frame[] {
  const before = index.clips.slice(0, clip).reduce((sum, { ptsSeconds }) => sum + ptsSeconds.length, 0);
  const size = 96 * 96 * 3;
  return index.clips[clip]!.ptsSeconds.map((ptsSeconds, i) => {
    const rgb = stored.frames.subarray((before + i) * size, (before + i + 1) * size);
    return { index: i, ptsSeconds, width: 96, height: 96, rgb };
  });
}

let model: Model;

beforeAll(async () => {
  for (const [file, digest] of Object.entries(index.model)) {
    const shipped = createHash('sha256')
      .update(readFileSync(join(nano, file)))
      .digest('hex');
    if (shipped !== digest) {
      throw new Error(
        `test/fixtures/reference was made from another ${file} than the shipped one: run ${script}`,
      );
    }
  }
  model = await loadModel(nano);
});

afterAll(() => model?.release());

function visualTokens(frame: EncodedFrame, budget: TokenBudget | null): Promise<TokenBlock> {
  const shape = { ...frame, width: 96, height: 96 };
  return makeTokens(model, { frame: shape, encoded: [frame] }, budget, new StageClock());
}

/** The answer's token ids, the end token included. */
async function greedy({ suffix }: Prompt, video: KvCache): Promise<number[]> {
  let seen: readonly number[] = [];
  const detokenize = (all: readonly number[]) => {
    seen = [...all];
    return model.chat.detokenize(all);
  };
  const generation = { maxNewTokens: index.maxNewTokens };
  const listened = { ...model, chat: { ...model.chat, detokenize } };
  let stopped = false;
  for await (const event of generate(listened, { question: '', suffix }, video, { generation })) {
    if (event.type === 'answer') stopped = event.answer.finishReason === 'stop';
  }
  return stopped ? [...seen, ...model.language.eosTokenIds] : [...seen];
}

describe.each(index.clips.map((clip, c) => ({ ...clip, c })))('clip $c', ({ c, ...clip }) => {
  const count = index.clips.length;
  let encoded: EncodedFrame[];
  let zipped: CompressedFrame[];

  beforeAll(async () => {
    encoded = await model.vision.encode(await Promise.all(framesOf(c).map(model.vision.prepare)));
    zipped = encoded.map((frame) => compressFrame(frame, index.budget));
  });

  it("has transformers' tower outputs, keys and CLS attention", () => {
    for (const name of ['hidden', 'keys', 'scores'] as const) {
      expect(difference(encoded[0]![name], part(stored[name], c, count)), name).toBeLessThanOrEqual(1e-4);
    }
  });

  it('keeps and merges the tokens that VisionZip in PyTorch does', () => {
    expect(zipped[0]).toMatchObject({
      dominantIndices: clip.dominantIndices,
      contextualMembers: clip.contextualMembers,
    });
    expect(difference(zipped[0]!.tokens, part(stored.compressed, c, count))).toBeLessThanOrEqual(1e-4);
  });

  it.each(clip.questions.map((asked, q) => ({ ...asked, q })))(
    "gives transformers' logits and answer, all tokens and compressed: $question",
    async ({ question, promptIds, answerIds, q }) => {
      const prompt = model.chat.layOut({ ptsSeconds: clip.ptsSeconds, durationSeconds: 0 }, question);
      expect([...prompt.prefix, ...prompt.suffix]).toEqual(promptIds);
      for (const [s, side] of sides.entries()) {
        const budget = side === 'none' ? null : index.budget;
        const visual = await Promise.all(encoded.map((frame) => visualTokens(frame, budget)));
        const video = await prefillVideo(model, prompt.prefix, asVideo(model, visual));
        const embeds = await model.language.embed(prompt.suffix);
        const { logits } = await model.language.forward({ embeds, S: prompt.suffix.length }, video);
        const expected = part(part(part(stored.logits, c, count), q, clip.questions.length), s, sides.length);
        expect(difference(logits, expected), side).toBeLessThanOrEqual(1e-3);
        expect(await greedy(prompt, video), side).toEqual(answerIds[side]);
      }
    },
  );
});

it("turns decoded frames into transformers' pixel values, within 1/255 on average", async () => {
  const [width, height] = index.decodedSize;
  const { image_std } = JSON.parse(readFileSync(join(nano, 'preprocessor_config.json'), 'utf8'));
  for (const i of [0, 1]) {
    const rgb = stored.decoded.subarray(i * width * height * 3, (i + 1) * width * height * 3);
    const { pixelValues } = await model.vision.prepare({ index: i, ptsSeconds: 0, width, height, rgb });
    const expected = part(stored.decodedPixelValues, i, 2);
    expect(pixelValues).toHaveLength(expected.length);
    const sum = expected.reduce((total, value, at) => total + Math.abs(value - pixelValues[at]!), 0);
    expect((sum / expected.length) * Math.max(...image_std)).toBeLessThanOrEqual(1 / 255);
  }
});
