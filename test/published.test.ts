import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadModel } from '../src/models/load.js';
import { NEWLINE } from '../src/models/newline.js';
import { prepareModel } from '../src/models/prepare/prepare.js';
import type { EncodedFrame, Model } from '../src/models/types.js';
import { compressFrame, keepAll } from '../src/pipeline/compress.js';
import type { CompressedFrame } from '../src/pipeline/types.js';
import {
  answerGreedily,
  concat,
  copyFixture,
  difference,
  expectTurns,
  fixtures,
  meanDifference,
  readFloats,
  readFrame,
  tokensOf,
  videoOf,
} from './support/published.js';

/*
 * Small models at random weights of each family, in the layout of the hub, against transformers: from the frame to 32
 * tokens, with all tokens and with VisionZip. training/published made them. Differences are |a − b| / (1 + |b|).
 */

const families = [
  'llava',
  'llava_next',
  'video_llava',
  'llava_onevision',
  'llava_interleave',
  'nanollava',
  'mini_gemini',
  'fast_vlm',
  'smolvlm',
  'idefics3',
];
const ids = z.array(z.int());
const referenceSchema = z.object({
  frames: z.int(),
  arrays: z.record(z.string(), ids),
  order: z.string(),
  question: z.string(),
  /** The prompt with `placeholderId` as often as there are visual tokens. */
  expandedIds: ids,
  placeholderId: z.int(),
  budget: z.object({ dominant: z.int(), contextual: z.int() }),
  dominantIndices: z.array(ids),
  contextualMembers: z.array(z.array(ids)),
  answers: z.object({ none: z.object({ ids }), visionzip: z.object({ ids }) }),
});

describe.each(families)('%s', (family) => {
  const folder = join(fixtures, family);
  const reference = referenceSchema.parse(
    JSON.parse(readFileSync(join(folder, 'reference/reference.json'), 'utf8')),
  );
  const stored = (name: string) => readFloats(join(folder, `reference/${name}.f32`));
  // A tower without attention has its features for keys.
  const nameOf = (name: string) => {
    if (name === 'hidden' && !reference.arrays.hidden) return 'visual_all';
    return name === 'keys' && !reference.arrays.keys ? 'hidden' : name;
  };
  const { budget } = reference;
  let dir: string;
  let model: Model;
  let encoded: EncodedFrame[];
  let kept: { none: CompressedFrame[]; visionzip: CompressedFrame[] };

  beforeAll(async () => {
    dir = copyFixture(family);
    const { differences } = await prepareModel(dir, { dtype: 'fp32' });
    for (const { what, largest } of differences) expect(largest, what).toBeLessThanOrEqual(1e-5);
    model = await loadModel(dir);
    const pixels = stored('pixel_values');
    const size = pixels.length / reference.frames;
    const prepared = Array.from({ length: reference.frames }, (_, index) => {
      return { index, ptsSeconds: index, pixelValues: pixels.subarray(index * size, (index + 1) * size) };
    });
    encoded = await model.vision.encode(prepared);
    kept = {
      none: encoded.map((frame) => keepAll(frame, model.vision.keepsCls)),
      visionzip: encoded.map((frame) => compressFrame(frame, budget)),
    };
  });

  afterAll(async () => {
    await model?.release();
    rmSync(dir, { recursive: true, force: true });
  });

  it("prepares pictures as transformers' image processor does", async () => {
    const prepared = [];
    for (let index = 0; index < reference.frames; index++)
      prepared.push(
        await model.vision.prepare(await readFrame(join(folder, `reference/frame-${index}.png`), index)),
      );
    const actual = concat(prepared.map(({ pixelValues }) => pixelValues));
    // Normalised by a standard deviation of at least 0.2: 1/255 before is at most 5/255 after.
    expect(meanDifference(actual, stored('pixel_values'))).toBeLessThanOrEqual(1 / 255 / 0.2);
  });

  // LLaVA-OneVision's come out pooled; its visual tokens are compared by what the decoder makes of them.
  if (reference.order !== 'project-pool-compress')
    it("has transformers' tower outputs, keys and scores", () => {
      for (const name of ['hidden', 'keys', 'scores'] as const)
        expect(
          difference(concat(encoded.map((frame) => frame[name])), stored(nameOf(name))),
          name,
        ).toBeLessThanOrEqual(1e-4);
    });

  it('keeps and merges the tokens that VisionZip in PyTorch does', () => {
    expect(kept.visionzip.map(({ dominantIndices }) => dominantIndices)).toEqual(reference.dominantIndices);
    expect(kept.visionzip.map(({ contextualMembers }) => contextualMembers)).toEqual(
      reference.contextualMembers,
    );
  });

  it('shows earlier turns behind the same video', () => expectTurns(model));

  it("gives transformers' prompt", () => {
    const { prefix, suffix } = promptOf(model);
    const [{ T }] = kept.none as [CompressedFrame];
    const expanded = [...prefix, ...suffix].flatMap((id) => {
      if (id === NEWLINE) return [reference.placeholderId];
      return id === model.chat.imageTokenId ? new Array<number>(T).fill(reference.placeholderId) : [id];
    });
    expect(expanded).toEqual(reference.expandedIds);
  });

  it.each(['none', 'visionzip'] as const)(
    "gives transformers' logits and up to 32 tokens: %s",
    async (side) => {
      const used = side === 'none' ? null : budget;
      const visual = await Promise.all(encoded.map((frame) => tokensOf(model, frame, used)));
      const expected = reference.answers[side].ids;
      const answer = await answerGreedily(model, promptOf(model), visual, expected.length);
      expect(difference(answer.logits, stored(`logits_${side}`))).toBeLessThanOrEqual(1e-3);
      expect(answer.ids).toEqual(expected);
      expect(expected.length === 32 || model.language.eosTokenIds.includes(expected.at(-1)!)).toBe(true);
    },
  );

  /** The frames are a second apart. */
  function promptOf(loaded: Model) {
    return loaded.chat.layOut(videoOf(reference.frames), reference.question);
  }
});
