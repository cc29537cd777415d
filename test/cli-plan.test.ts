import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { resultSchema } from '../queues/index.js';
import { temporaryFolder } from './media.js';
import { cli, documentOf } from './support/cli.js';

const folder = temporaryFolder();
const clip = join(folder, 'clip-000.mp4');
const env = { VISIONZIP_HOME: join(folder, 'home') };

beforeAll(async () => {
  const clips = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
  const args = ['--seed', '9', '--count', '1', '--seconds', '20-30', '--with', 'flash', '--out', folder];
  await promisify(execFile)(process.execPath, [clips, ...args]);
});

describe('visionzip plan', () => {
  it.each([[[]], [['--sampling', 'uniform', '--frames', '5', '--start', '3']], [['--compression', 'none']]])(
    'says what `ask` then does: %j',
    async (args) => {
      const planned = documentOf(await cli(['plan', clip, 'What moves?', ...args, '--json'], env));
      const asked = resultSchema.parse(
        documentOf(await cli(['ask', clip, 'What moves?', ...args, '--json'], env)),
      );
      expect(planned.plan).toEqual(asked.plan);
      expect(planned.tokens).toEqual(asked.tokens);
      const times = (planned.frames as { ptsSeconds: number }[]).map(({ ptsSeconds }) => ptsSeconds);
      expect(times).toEqual(asked.frames.map(({ ptsSeconds }) => ptsSeconds));
    },
  );

  it('prints frames, tokens, the reason, and what else could be had', async () => {
    const { code, stdout, stderr } = await cli(['plan', clip], env);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^video {3}2\d\.\d s of h264, \d+ × \d+\nframes {2}26, \d+ where something changes: 0\.0 s /,
    );
    expect(stdout).toMatch(
      /tokens {2}3744 → at most 390, 15 of 144 a frame; prompt \d+, answer up to 64, context 4096/,
    );
    expect(stdout).toMatch(/^ {8}1 a second of the video$/m);
    expect(stdout).toMatch(/^ {8}frames that show nothing new are left out/m);
    expect(stdout).toMatch(/--frames 52 +│ 52 +│ 15 +│ \d+/);
    expect(stdout).toMatch(/--frames 26 --compression none +│ 26 +│ 144 +│ \d+/);
  });

  it('says where another setting would not fit, and refuses what does not fit itself', async () => {
    const { stdout } = await cli(['plan', clip, '--frames', '30'], env);
    expect(stdout).toMatch(
      /--frames 30 --compression none.*30 frames × 144 tokens = 4320 visual tokens do not fit/,
    );
    expect(stdout).not.toMatch(/--frames 30 +│/);
    const refused = await cli(['plan', clip, '--frames', '40', '--compression', 'none', '--json'], env);
    expect([refused.code, documentOf(refused).fault]).toEqual([1, 'settings']);
  });
});
