import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { beforeAll, expect, it, vi } from 'vitest';
import { decodeFrames } from '../src/media/decode.js';
import type { Media } from '../src/media/media.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import { ffmpeg, h264, temporaryFolder, testPattern } from './media.js';

/*
 * On a busy machine a decoder can end before anybody listens to it: closing the file that it was given takes longer here
 * than all that the decoder does.
 */

const files = vi.hoisted(() => ({ closed: 0 }));
vi.mock('../src/media/media.js', async (original) => {
  const media = await original<typeof import('../src/media/media.js')>();
  const openChecked = async (of: Media) => {
    const file = await media.openChecked(of);
    const close = file.close.bind(file);
    return Object.assign(file, {
      close: async () => {
        await pause(700);
        files.closed += 1;
        await close();
      },
    });
  };
  return { ...media, openChecked };
});

const clip = join(temporaryFolder(), 'clip.mp4');

beforeAll(() => ffmpeg(...testPattern(160, 120, 25, 2), ...h264(), clip));

it('loses nothing of what ffprobe and ffmpeg said before anybody listened', async () => {
  const video = await openVideo(clip, defaultLimits);
  expect(video.ptsSeconds).toHaveLength(50);
  const times: number[] = [];
  for await (const frame of decodeFrames(video, [0, 30, 49], { timeoutMs: 60_000 }))
    times.push(frame.ptsSeconds);
  expect(times).toEqual([0, 1.2, 1.96]);
  expect(files.closed).toBeGreaterThanOrEqual(2);
});
