import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { resultSchema } from '../queues/index.js';
import { HubServer } from './hub-server.js';
import { ffmpeg, h264, temporaryFolder, testPattern } from './media.js';
import { cli, documentOf } from './support/cli.js';
import { copyFixture } from './support/published.js';

// From a hub to an answer, by the command line alone: a local server that speaks the hub's protocol, a tiny model.
const folder = temporaryFolder();
const home = join(folder, 'huggingface');
const dir = join(home, 'visionzip/tiny--onevision');
const clip = join(folder, 'clip.mp4');
const published = fileURLToPath(new URL('fixtures/published/llava_onevision', import.meta.url));
let hub: HubServer;

function filesBelow(root: string): Record<string, Buffer> {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' });
  const paths = names.map((name) => join(root, name)).filter((path) => statSync(path).isFile());
  return Object.fromEntries(paths.map((path) => [relative(root, path), readFileSync(path)]));
}

beforeAll(async () => {
  hub = await HubServer.start('tiny/onevision', filesBelow(published), {
    cardData: { license: 'apple-amlr' },
  });
  await ffmpeg(...testPattern(320, 180, 10, 2), ...h264(), clip);
});

afterAll(() => hub?.stop());

const run = (...args: string[]) =>
  cli(args, { HF_ENDPOINT: hub.endpoint, HF_HOME: home, VISIONZIP_MODEL_DIRS: '' });

describe('visionzip model', () => {
  it('pulls, prepares, inspects and lists a model, and asks it; the hub is not needed for the last', async () => {
    const dry = await run('model', 'pull', 'tiny/onevision', '--dtype', 'fp32', '--dry-run', '--json');
    expect(dry.code).toBe(0);
    expect(documentOf(dry)).toMatchObject({
      ...{ dryRun: true, family: 'llava_onevision', license: { name: 'apple-amlr' }, dir },
      dtypes: { vision: 'fp32', embed: 'fp32', decoder: 'fp32' },
      partBytes: { vision: 251_746, embed: 48_391, decoder: 214_333 },
    });
    expect(readdirSync(join(dir, 'onnx'))).toEqual(['image_newline.npy']);
    const pulled = await run('model', 'pull', 'tiny/onevision', '--dtype', 'fp32');
    expect([pulled.code, pulled.stdout]).toEqual([0, `${dir}\n`]);
    expect(pulled.stderr).toMatch(
      /^tiny\/onevision at c0ffee00: llava_onevision\nlicence {4}apple-amlr\ndownload {3}0\.\d MiB: vision fp32 0\.2, embed fp32 0\.0, decoder fp32 0\.2, the rest 0\.0\nmemory {5}about \d+ MiB: weights 0\.5, .*\nvisionzip: the licence apple-amlr forbids/,
    );
    expect(pulled.stderr).toContain(`next: visionzip model prepare ${dir}`);

    const prepared = await run('model', 'prepare', dir, '--json');
    expect(prepared.code).toBe(0);
    expect(documentOf(prepared)).toMatchObject({
      manifest: { family: 'llava_onevision', dtype: 'fp32', tower: { cls: false, pooled: { rows: 14 } } },
      differences: [
        { what: 'visual tokens' },
        { what: 'logits' },
        { what: 'logits of a prompt in two parts' },
      ],
    });
    await hub.stop();

    const inspected = await run('model', 'inspect', dir);
    expect(inspected.stdout).toContain('the attention that each token receives in block');
    expect(inspected.stdout).toMatch(/a frame\s+196 tokens; by default 83 \+ 15 tokens/);
    expect((await run('model', 'list')).stdout).toContain(`tiny--onevision  llava_onevision, fp32  ${dir}`);

    const ask = [
      'ask',
      clip,
      'What moves?',
      '--model',
      'tiny--onevision',
      '--frames',
      '4',
      '--max-new-tokens',
      '5',
    ];
    const compressed = resultSchema.parse(documentOf(await run(...ask, '--json')));
    expect(compressed.tokens).toEqual({ before: 4 * 196, after: 4 * 98 });
    const whole = resultSchema.parse(documentOf(await run(...ask, '--compression', 'none', '--json')));
    expect(whole.tokens).toEqual({ before: 4 * 196, after: 4 * 196 });
    // Four frames and, behind the last, one newline.
    expect(whole.plan.promptTokens - whole.tokens.after).toBe(
      compressed.plan.promptTokens - compressed.tokens.after,
    );
  });

  it('says of a picture in crops what was kept of each', async () => {
    const next = copyFixture('llava_next');
    try {
      await run('model', 'prepare', next);
      expect((await run('model', 'inspect', next)).stdout).toMatch(
        /a picture +the whole and its crops, as many tokens each; cut from 84 × 42, 42 × 84, 84 × 84/,
      );
      const picture = join(next, 'pictures/2/picture.png');
      const kept = await run('ask', picture, 'What?', '--model', next, '--compression', '7+3');
      expect(kept.stderr).toContain('229 → 50, 4.6× fewer (5 crops, 7 dominant + 3 contextual each)');
      const all = await run('ask', picture, 'What?', '--model', next, '--compression', 'none');
      expect(all.stderr).toContain('229 → 229 (5 crops, all 229)');
    } finally {
      rmSync(next, { recursive: true, force: true });
    }
  });

  it('says in one line what is wrong', async () => {
    rmSync(dir, { recursive: true, force: true });
    const raw = join(folder, 'raw');
    const busy = join(folder, 'busy');
    for (const copy of [raw, busy]) cpSync(published, copy, { recursive: true });
    writeFileSync(join(busy, '.visionzip.lock'), `${process.pid} another`);
    const cases: [string[], number, RegExp][] = [
      [['model', 'pull', 'onevision'], 2, /expected a model as owner\/name, got "onevision"/],
      [['model', 'prepare', join(folder, 'nowhere')], 1, /needs the file .*config.json: ENOENT/],
      [['model', 'prepare', busy], 1, /the lock .* is still held by process/],
      [['model', 'inspect', folder], 1, /needs the file .*visionzip.json: ENOENT/],
      [['model', 'inspect', raw], 1, /visionzip.json is missing: `visionzip model prepare .*raw` makes it/],
      [['ask', clip, 'What?', '--model', 'tiny--onevision'], 2, /found none at/],
    ];
    for (const [args, code, message] of cases) {
      const failed = await run(...args);
      expect([failed.code, failed.stderr.trim().split('\n').length], args.join(' ')).toEqual([code, 1]);
      expect(failed.stderr).toMatch(message);
    }
  });

  it('names the provider that is missing and how to install it', async () => {
    const failed = await cli(['ask', clip, 'What?', '--json'], { VISIONZIP_PROVIDER: 'cuda' });
    expect(failed.code).toBe(1);
    expect(documentOf(failed)).toMatchObject({
      status: 'failed',
      error: expect.stringMatching(
        /execution provider cuda: install it with `ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild/,
      ),
    });
  });
});
