import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ClipRow, readQuestions } from '../scripts/clip-files.js';
import { InputError } from '../src/errors.js';
import { defaultLimits } from '../src/media/open.js';
import { describeModel } from '../src/models/folder.js';
import { loadModel } from '../src/models/load.js';
import type { Model, PreparedFrame } from '../src/models/types.js';
import { answerVideo } from '../src/pipeline/answer.js';
import type { AnswerRequest, Compression } from '../src/pipeline/types.js';

/* The shipped model, from the encoded file to the answer. */

const nano = fileURLToPath(new URL('../models/nano', import.meta.url));
const clipsScript = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
const clipCount = 24;

let folder: string;
let model: Model;
let rows: ClipRow[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-model-'));
  const args = ['--seed', '20261122', '--count', String(clipCount), '--out', folder];
  execFileSync(process.execPath, [clipsScript, ...args], { stdio: 'ignore' });
  rows = readQuestions(folder);
  model = await loadModel(nano, { threads: 2 });
});

afterAll(async () => {
  await model?.release();
  rmSync(folder, { recursive: true });
});

function ask(video: string, questions: readonly string[], more: Partial<AnswerRequest> = {}) {
  return answerVideo(model, {
    video: join(folder, video),
    questions,
    sampling: {},
    compression: 'auto',
    generation: {},
    limits: defaultLimits,
    ...more,
  });
}

function questionsOn(video: string): string[] {
  return rows.filter((row) => row.video === video).map(({ question }) => question);
}

describe('the shipped model', () => {
  it('answers at least 70 % of the questions on unseen clips exactly right, with default settings', async () => {
    let right = 0;
    for (const video of new Set(rows.map((row) => row.video))) {
      const asked = rows.filter((row) => row.video === video);
      const { answers } = await ask(
        video,
        asked.map(({ question }) => question),
      );
      right += asked.filter(({ answer }, i) => answers[i]!.answer.toLowerCase() === answer).length;
    }
    expect(rows.length).toBeGreaterThanOrEqual(4 * clipCount);
    expect(right / rows.length).toBeGreaterThanOrEqual(0.7);
  });

  it('sends a fraction of the tokens that it would send without compression', async () => {
    const { tokens, plan } = await ask('clip-000.mp4', ['How many objects are there?']);
    expect(tokens.before).toBe(plan.frames * 144);
    expect(tokens.after / tokens.before).toBeLessThan(0.15);
    const none = await ask('clip-000.mp4', ['How many objects are there?'], { compression: 'none' });
    expect(none.tokens.after).toBe(tokens.before);
  });

  it('answers a question alone as it does in company', async () => {
    const questions = questionsOn('clip-001.mp4');
    for (const compression of ['auto', 'none'] satisfies Compression[]) {
      const together = await ask('clip-001.mp4', questions, { compression });
      for (const [i, question] of questions.entries()) {
        const alone = await ask('clip-001.mp4', [question], { compression });
        expect(alone.answers[0]!.answer).toBe(together.answers[i]!.answer);
      }
    }
  });

  it('encodes a frame to the same numbers, whichever frames share its batch', async () => {
    const frames = Array.from({ length: 4 }, (_, index): PreparedFrame => {
      const pixelValues = Float32Array.from({ length: 3 * 96 * 96 }, (_, i) => Math.sin(i * (index + 1)));
      return { index, ptsSeconds: index, pixelValues };
    });
    const together = await model.vision.encode(frames);
    for (const [i, frame] of frames.entries()) {
      const [alone] = await model.vision.encode([frame]);
      expect(alone!.hidden).toEqual(together[i]!.hidden);
      expect(alone!.scores).toEqual(together[i]!.scores);
      expect(alone!.keys).toEqual(together[i]!.keys);
    }
  });

  it('gives the same logits by prefill and decode steps as in one go', async () => {
    const ids = model.chat.tokenize('USER: What colour is the star? ASSISTANT:');
    const embeds = await model.language.embed(ids);
    const { H, forward } = model.language;
    const whole = await forward({ embeds, S: ids.length }, null);
    let { logits, cache } = await forward({ embeds: embeds.subarray(0, 3 * H), S: 3 }, null);
    for (let i = 3; i < ids.length; i++) {
      ({ logits, cache } = await forward({ embeds: embeds.subarray(i * H, (i + 1) * H), S: 1 }, cache));
    }
    expect(cache.length).toBe(ids.length);
    logits.forEach((logit, token) => {
      expect(Math.abs(logit - whole.logits[token]!)).toBeLessThan(1e-3);
    });
  });

  it('samples the same answer with the same seed', async () => {
    const generation = { temperature: 2, seed: 3, maxNewTokens: 12 };
    const [one, two] = [
      await ask('clip-002.mp4', ['What is it?'], { generation }),
      await ask('clip-002.mp4', ['What is it?'], { generation }),
    ];
    expect(one.answers[0]!.answer).toBe(two.answers[0]!.answer);
  });
});

describe('a model folder', () => {
  it('has another digest when any of its graphs or texts changes, so that no stored answer stands for it', async () => {
    const { digest } = await describeModel(nano);
    for (const name of [
      'onnx/decoder.onnx',
      'onnx/projector.onnx',
      'tokenizer.json',
      'chat_template.jinja',
    ]) {
      const copy = mkdtempSync(join(folder, 'nano-'));
      cpSync(nano, copy, { recursive: true });
      expect((await describeModel(copy)).digest).toBe(digest);
      appendFileSync(join(copy, name), ' ');
      expect((await describeModel(copy)).digest).not.toBe(digest);
    }
  });

  const broken = (name: string, change: (file: string) => void) => async () => {
    const copy = mkdtempSync(join(folder, 'nano-'));
    cpSync(nano, copy, { recursive: true });
    change(join(copy, name));
    const error = await loadModel(copy).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toContain(join(copy, name));
  };

  it('is refused without a chat template', async () => {
    const copy = mkdtempSync(join(folder, 'nano-'));
    cpSync(nano, copy, { recursive: true });
    rmSync(join(copy, 'chat_template.jinja'));
    const file = join(copy, 'tokenizer_config.json');
    const { chat_template: _, ...rest } = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify(rest));
    await expect(loadModel(copy)).rejects.toThrow(`${copy} must hold a chat template: chat_template.jinja, `);
  });

  for (const name of ['visionzip.json', 'tokenizer.json', 'onnx/decoder.onnx']) {
    it(
      `is refused without ${name}`,
      broken(name, (file) => rmSync(file)),
    );
  }
  it(
    'is refused with a truncated graph',
    broken('onnx/vision_tower.onnx', (file) => truncateSync(file, 1000)),
  );
  it(
    'is refused with a broken config',
    broken('config.json', (file) => writeFileSync(file, '{ "image_token_index": ')),
  );
  it(
    'is refused with a manifest of another format',
    broken('visionzip.json', (file) => writeFileSync(file, '{ "formatVersion": 2 }')),
  );
  it('of another format says how to prepare it again', async () => {
    const copy = mkdtempSync(join(folder, 'nano-'));
    cpSync(nano, copy, { recursive: true });
    writeFileSync(join(copy, 'visionzip.json'), '{ "formatVersion": 1, "order": "project-first" }');
    await expect(loadModel(copy)).rejects.toThrow(
      new RegExp(
        `visionzip.json is not as expected: .*; \`visionzip model prepare ${copy}\` makes it again$`,
      ),
    );
  });
});
