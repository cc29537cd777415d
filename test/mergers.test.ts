import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  env,
  Lfm2VlForConditionalGeneration,
  ones_like,
  Qwen2_5_VLForConditionalGeneration,
  Qwen2VLForConditionalGeneration,
  Qwen3_5ForConditionalGeneration,
  Qwen3VLForConditionalGeneration,
  Tensor,
} from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { loadModel } from '../src/models/load.js';
import { prepareModel } from '../src/models/prepare/prepare.js';
import type { EncodedFrame, Model, PreparedFrame, ShownVideo } from '../src/models/types.js';
import { meanTimes } from '../src/pipeline/allow.js';
import { compressFrame } from '../src/pipeline/compress.js';
import { placeTokens } from '../src/pipeline/positions.js';
import { StageClock } from '../src/pipeline/timings.js';
import { makeTokens } from '../src/pipeline/tokens.js';
import type { TokenBlock } from '../src/pipeline/types.js';
import {
  answerGreedily,
  asVideo,
  concat,
  copyFixture,
  difference,
  expectTurns,
  fixtures,
  meanDifference,
  readFloats,
  readFrame,
} from './support/published.js';

/*
 * Models that take pictures in their own proportions and merge 2 × 2 patches into a token: Qwen2-VL and its successors, frames in
 * pairs, and LFM2-VL, frames as pictures; small and at random weights, against transformers; a video and a still picture. VisionZip
 * behind the merger is judged by a PyTorch version written from its authors' description (training/published). Differences are
 * |a − b| / (1 + |b|).
 */

const families = ['qwen2_vl', 'qwen2_5_vl', 'qwen3_vl', 'qwen3_vl_plain', 'qwen3_5', 'lfm2_vl'] as const;
/**
 * Where a video's last time is the largest of its positions, words go on behind it, as the paper says and transformers did up to
 * version 4; version 5 goes on behind the largest row or column. Of such a video this is what is held against.
 */
const BEHIND = '_behind_largest';
const ids = z.array(z.int());
const answers = z.object({ ids });
const referenceSchema = z.object({
  frames: z.int().optional(),
  budget: z.object({ dominant: z.int(), contextual: z.int() }),
  /** Groups of frames, or frames that go one by one; rows and columns of patches. */
  grid: z.tuple([z.int(), z.int(), z.int()]),
  arrays: z.record(z.string(), ids),
  question: z.string(),
  expandedIds: ids,
  placeholderId: z.int(),
  dominantIndices: z.array(ids),
  contextualMembers: z.array(z.array(ids)),
  positions_none: z.array(ids),
  positions_visionzip: z.array(ids),
  positions_none_behind_largest: z.array(ids).optional(),
  positions_visionzip_behind_largest: z.array(ids).optional(),
  nextPosition: z.record(z.string(), z.int()),
  answers: z.looseObject({ none: answers, visionzip: answers }),
});
type Side = 'none' | 'visionzip';

env.allowRemoteModels = false;
env.localModelPath = fixtures;
env.useFSCache = false;
/** Classes of transformers.js, the second judge: of pictures, all tokens. It knows no DeepStack. */
const classes = {
  qwen2_vl: Qwen2VLForConditionalGeneration,
  qwen2_5_vl: Qwen2_5_VLForConditionalGeneration,
  qwen3_vl: undefined,
  qwen3_vl_plain: Qwen3VLForConditionalGeneration,
  qwen3_5: Qwen3_5ForConditionalGeneration,
  lfm2_vl: Lfm2VlForConditionalGeneration,
};

describe.each(families)('%s', (family) => {
  let dir: string;
  let model: Model;

  beforeAll(async () => {
    dir = copyFixture(family);
    const { differences } = await prepareModel(dir, { dtype: 'fp32' });
    for (const { what, largest } of differences) expect(largest, what).toBeLessThanOrEqual(1e-5);
    model = await loadModel(dir);
  });

  afterAll(async () => {
    await model?.release();
    rmSync(dir, { recursive: true, force: true });
  });

  const Class = classes[family];
  it.skipIf(!Class)('answers a picture as transformers.js does', async () => {
    const folder = join(fixtures, family, 'picture');
    const reference = referenceSchema.parse(JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')));
    const theirs = await Class!.from_pretrained(family, {
      ...{ dtype: 'fp32', device: 'cpu' },
      session_options: { intraOpNumThreads: 1 },
    });
    const ids = reference.expandedIds;
    const int64 = (values: readonly number[]) =>
      new Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    const input_ids = int64(ids);
    const pixels = readFloats(join(folder, 'pixel_values.f32'));
    const [patches] = reference.arrays.pixel_values as [number, number];
    const isGrid = family !== 'lfm2_vl';
    const mask = int64(new Array<number>(patches).fill(1));
    const [, ...shape] = reference.grid;
    const output = await theirs.generate({
      ...{ input_ids, attention_mask: ones_like(input_ids) },
      pixel_values: new Tensor('float32', pixels, [...(isGrid ? [] : [1]), patches, pixels.length / patches]),
      ...(isGrid && { image_grid_thw: int64(reference.grid) }),
      ...(!isGrid && { pixel_attention_mask: mask, spatial_shapes: int64(shape) }),
      ...{ max_new_tokens: 32, do_sample: false },
    });
    await theirs.dispose();
    const said = (output as Tensor).tolist()[0].slice(ids.length).map(Number);
    expect(said).toEqual(reference.answers.none.ids);
  });

  describe.each(['reference', 'picture'])('%s', (name) => {
    const folder = join(fixtures, family, name);
    const reference = referenceSchema.parse(JSON.parse(readFileSync(join(folder, 'reference.json'), 'utf8')));
    const stored = (file: string) => readFloats(join(folder, `${file}.f32`));
    const isStill = name === 'picture';
    const frames = reference.frames ?? 1;
    const [groups, height, width] = reference.grid;
    const grid = { rows: height / 2, columns: width / 2 };
    const together = frames / groups;
    const seconds = Array.from({ length: frames }, (_, i) => i);
    const video: ShownVideo = {
      ptsSeconds: isStill ? [0] : meanTimes(seconds, together),
      ...{ durationSeconds: frames, isStill },
    };
    const behind = reference.positions_none_behind_largest ? BEHIND : '';
    let encoded: EncodedFrame[];

    beforeAll(async () => {
      const pixels = stored('pixel_values');
      const size = pixels.length / groups;
      const prepared = Array.from({ length: groups }, (_, i): PreparedFrame => {
        const pixelValues = pixels.slice(i * size, (i + 1) * size);
        return { index: together * i, ptsSeconds: video.ptsSeconds[i]!, pixelValues, grid };
      });
      encoded = await model.vision.encode(prepared);
    });

    /** (T, H), with what DeepStack adds to later layers behind each: (T, (1 + layers) · H). */
    function tokensOf(kind: 'all' | 'visionzip'): Float32Array {
      const [visual, deep] = [`visual_${kind}`, `deepstack_${kind}`].map((one) => reference.arrays[one]);
      const [T, H] = visual as [number, number];
      if (!deep) return stored(`visual_${kind}`);
      const parts = [stored(`visual_${kind}`)];
      const added = stored(`deepstack_${kind}`);
      for (let i = 0; i < deep[0]!; i++) parts.push(added.subarray(i * T * H, (i + 1) * T * H));
      return concat(
        Array.from({ length: T }, (_, t) => concat(parts.map((part) => part.subarray(t * H, (t + 1) * H)))),
      );
    }

    it("prepares frames as transformers' processor does", async () => {
      const native = model.vision.native!;
      const shown = await Promise.all(
        seconds.map((i) => readFrame(join(folder, isStill ? 'picture.png' : `frame-${i}.png`), i)),
      );
      const [first] = shown;
      const shape = { width: first!.width, height: first!.height, frames, isStill };
      expect(native.gridOf(shape)).toEqual(grid);
      const prepared: Float32Array[] = [];
      for (let i = 0; i < groups; i++) {
        const from = together * i;
        const group = await native.prepare(shown.slice(from, from + together), grid, isStill);
        expect(group).toMatchObject({ index: from, ptsSeconds: video.ptsSeconds[i] });
        prepared.push(group.pixelValues);
      }
      expect(meanDifference(concat(prepared), stored('pixel_values'))).toBeLessThanOrEqual(1 / 255 / 0.2);
    });

    it("has transformers' visual tokens, and the keys and scores of its last block", () => {
      const all = (part: 'hidden' | 'keys' | 'scores') => concat(encoded.map((frame) => frame[part]));
      expect(difference(all('hidden'), tokensOf('all'))).toBeLessThanOrEqual(1e-4);
      expect(difference(all('keys'), stored('keys'))).toBeLessThanOrEqual(1e-4);
      expect(difference(all('scores'), stored('scores'))).toBeLessThanOrEqual(1e-4);
    });

    it('keeps and merges the tokens that VisionZip in PyTorch does', () => {
      const kept = encoded.map((frame) => compressFrame(frame, reference.budget));
      expect(kept.map(({ dominantIndices }) => dominantIndices)).toEqual(reference.dominantIndices);
      expect(kept.map(({ contextualMembers }) => contextualMembers)).toEqual(reference.contextualMembers);
    });

    it('shows earlier turns behind the same video', () => expectTurns(model));

    it("gives transformers' prompt", () => {
      const { prefix, suffix } = model.chat.layOut(video, reference.question);
      const expanded = [...prefix, ...suffix].flatMap((id) =>
        id === model.chat.imageTokenId
          ? new Array<number>(grid.rows * grid.columns).fill(reference.placeholderId)
          : [id],
      );
      expect(expanded).toEqual(reference.expandedIds);
    });

    describe.each(['none', 'visionzip'] as const)('%s', (side: Side) => {
      let blocks: TokenBlock[];

      beforeAll(async () => {
        const budget = side === 'none' ? null : reference.budget;
        blocks = await Promise.all(
          encoded.map((one) => {
            const frame = { index: one.index, ptsSeconds: one.index, width: 0, height: 0 };
            return makeTokens(model, { frame, encoded: [one] }, budget, new StageClock());
          }),
        );
      });

      it('has the tokens in raster order', () => {
        const tokens = concat(blocks.map(({ embeds }) => embeds));
        const expected = tokensOf(side === 'none' ? 'all' : 'visionzip');
        expect(difference(tokens, expected)).toBeLessThanOrEqual(1e-4);
      });

      it.skipIf(reference.positions_none.length === 1)('leaves every token at its position', () => {
        const { prefix, suffix } = model.chat.layOut(video, reference.question);
        const { axes, next } = placeTokens(
          prefix,
          model.chat.imageTokenId,
          asVideo(model, blocks),
          model.language.rope!,
        );
        const S = axes.length / 3;
        const rest = suffix.map((_, i) => next + i);
        const all = [0, 1, 2].map((axis) =>
          [...axes.slice(axis * S, (axis + 1) * S)].map(Number).concat(rest),
        );
        expect(all).toEqual(reference[`positions_${side}${behind}` as `positions_${Side}`]);
        expect(next + suffix.length).toBe(reference.nextPosition[`${side}${behind}`]);
      });

      it("gives transformers' logits and up to 32 tokens", async () => {
        const expected = answers.parse(reference.answers[`${side}${behind}`]).ids;
        const prompt = model.chat.layOut(video, reference.question);
        const answer = await answerGreedily(model, prompt, blocks, expected.length);
        expect(difference(answer.logits, stored(`logits_${side}${behind}`))).toBeLessThanOrEqual(1e-3);
        expect(answer.ids).toEqual(expected);
        expect(expected.length === 32 || model.language.eosTokenIds.includes(expected.at(-1)!)).toBe(true);
      });
    });
  });
});
