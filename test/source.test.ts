import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.js';
import { decodeFrames } from '../src/media/decode.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import { resolveBelow } from '../src/sources/below.js';
import {
  ffmpeg,
  fromFirst,
  h264,
  pickedStream,
  plainFrames,
  publishedClip,
  rotate,
  shownTimes,
  temporaryFolder,
  testPattern,
} from './media.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const plain = at('plain.mp4');

beforeAll(() => ffmpeg(...testPattern(160, 120, 25, 2), ...h264(), plain));

describe('a video', () => {
  test('is described by what ffprobe finds', async () => {
    const { info, index, startSeconds } = await openVideo(plain, defaultLimits);
    expect(info).toMatchObject({
      path: plain,
      streamIndex: 0,
      codec: 'h264',
      durationSeconds: 2,
      fps: 25,
      width: 160,
      height: 120,
      rotation: 0,
      isStill: false,
    });
    expect([...index.keyframes]).toEqual([0, 25]);
    expect(startSeconds).toBe(0);
  });

  test.each([
    [90, 270, 120, 160],
    [180, 180, 160, 120],
    [270, 90, 120, 160],
  ])(
    'turned anticlockwise by %d is turned clockwise by %d and measures %d × %d',
    async (turn, ...expected) => {
      const file = at(`rotated-${turn}.mp4`);
      await rotate(plain, turn, file);
      const { info } = await openVideo(file, defaultLimits);
      expect([info.rotation, info.width, info.height]).toEqual(expected);
    },
  );

  test.each([
    ['the larger', '0', '0', 1],
    ['the one marked as default', 'default', '0', 0],
    ['the larger of two marked as default', 'default', 'default', 1],
  ])('with several streams is read from the one that ffmpeg picks: %s', async (_, first, second, index) => {
    const file = at(`two-${first}-${second}.mkv`);
    const inputs = [...testPattern(64, 48, 25, 1), ...testPattern(128, 96, 25, 1), '-map', '0', '-map', '1'];
    await ffmpeg(...inputs, '-disposition:v:0', first, '-disposition:v:1', second, ...h264(), file);
    expect(await pickedStream(file)).toBe(index);
    expect((await openVideo(file, defaultLimits)).info.streamIndex).toBe(index);
  });

  test('with sound, subtitles and several sizes is read from the one that ffmpeg picks', async (context) => {
    const file = publishedClip('nasa_13013.mp4');
    if (file === null) return context.skip('nasa_13013.mp4 is not beside the repository');
    expect(await pickedStream(file)).toBe(3);
    expect((await openVideo(file, defaultLimits)).info).toMatchObject({ streamIndex: 3, width: 480 });
  });

  test('that begins in the middle of a group of pictures starts with its first keyframe', async () => {
    // Open groups: the frames that are shown just before that keyframe come after it, and cannot be decoded.
    const params = 'log-level=none:open-gop=1:keyint=25:min-keyint=25:scenecut=0:bframes=3';
    await ffmpeg(...testPattern(64, 48, 25, 3), '-c:v', 'libx265', '-x265-params', params, at('whole.ts'));
    const whole = await readFile(at('whole.ts'));
    await writeFile(at('begun.ts'), whole.subarray(188 * Math.floor(whole.length / 6 / 188)));
    const times = await shownTimes(at('whole.ts'));
    const { ptsSeconds, index } = await openVideo(at('begun.ts'), defaultLimits);
    // A keyframe every 25 frames, the first of which was cut away.
    expect([...ptsSeconds]).toEqual(fromFirst(times.slice(25)));
    expect([...index.keyframes]).toEqual([0, 25]);
  });

  test('may lie behind a symbolic link', async () => {
    await symlink(plain, at('link.mp4'));
    expect((await openVideo(at('link.mp4'), defaultLimits)).info.path).toBe(plain);
  });

  test.each([
    '-version',
    '-i',
    '$(touch pwned); `ls` & | > < * ? "quoted" \'single\'.mp4',
    'новый 视频 %03d.mp4',
  ])('may be named %s', async (name) => {
    await ffmpeg('-i', plain, '-c', 'copy', '-f', 'mp4', `file:${at(name)}`);
    const { info, ptsSeconds } = await openVideo(at(name), defaultLimits);
    expect(info.path).toBe(at(name));
    expect(ptsSeconds).toHaveLength(50);
  });
});

describe('a picture', () => {
  const encoders = { 'still.png': 'png', 'still.jpg': 'mjpeg', 'still.webp': 'libwebp', 'still.gif': 'gif' };
  test.each(Object.entries(encoders))('(%s) is a video of one frame', async (name, encoder) => {
    const file = at(name);
    await ffmpeg(...testPattern(40, 30, 1, 1), '-frames:v', '1', '-c:v', encoder, file);
    const video = await openVideo(file, defaultLimits);
    expect(video.info).toMatchObject({ isStill: true, durationSeconds: 0, fps: 0, width: 40, height: 30 });
    expect([...video.ptsSeconds]).toEqual([0]);
    const [expected] = await plainFrames(file, 40 * 30 * 3);
    for await (const frame of decodeFrames(video, [0], { timeoutMs: 60_000 })) {
      expect(Buffer.compare(frame.rgb, expected!)).toBe(0);
    }
  });

  test('of a camera held sideways (EXIF) is turned upright', async () => {
    await ffmpeg(
      ...testPattern(40, 30, 1, 1),
      '-frames:v',
      '1',
      '-c:v',
      'mjpeg',
      '-f',
      'image2',
      at('flat.jpg'),
    );
    const flat = await readFile(at('flat.jpg'));
    // One EXIF entry, orientation 6: to be turned clockwise by 90 degrees; behind the header of 20 bytes.
    const entry = '4d4d002a00000008' + '0001' + '01120003000000010006' + '0000' + '00000000';
    const exif = Buffer.from(`ffe10022457869660000${entry}`, 'hex');
    await writeFile(at('held.jpg'), Buffer.concat([flat.subarray(0, 20), exif, flat.subarray(20)]));
    const video = await openVideo(at('held.jpg'), defaultLimits);
    expect(video.info).toMatchObject({ rotation: 90, width: 30, height: 40 });
    const [expected] = await plainFrames(at('held.jpg'), 30 * 40 * 3);
    for await (const frame of decodeFrames(video, [0], { timeoutMs: 60_000 })) {
      expect(Buffer.compare(frame.rgb, expected!)).toBe(0);
    }
  });

  test('that moves (GIF) is a video', async () => {
    await ffmpeg(...testPattern(40, 30, 5, 1), at('moving.gif'));
    const video = await openVideo(at('moving.gif'), defaultLimits);
    expect(video.info.isStill).toBe(false);
    expect([...video.ptsSeconds]).toEqual([0, 0.2, 0.4, 0.6, 0.8]);
  });
});

describe('a limit', () => {
  test.each([
    [{ maxBytes: 1000 }, /has \d+ bytes, more than the limit of 1000$/],
    [{ maxSeconds: 1.5 }, /is 2 seconds long, more than the limit of 1.5$/],
    [{ maxPixels: 160 * 120 - 1 }, /frames of 160 × 120 pixels, more than the limit of 19199 pixels$/],
  ])('of %o refuses the video with both numbers', async (limit, message) => {
    const opening = openVideo(plain, { ...defaultLimits, ...limit });
    await expect(opening).rejects.toThrow(InputError);
    await expect(opening).rejects.toThrow(message);
  });
});

describe('an allowed folder', () => {
  beforeAll(async () => {
    await mkdir(at('allowed'));
    await mkdir(at('allowed-not'));
    for (const name of ['allowed/in.mp4', 'allowed-not/out.mp4']) await writeFile(at(name), 'x');
    await symlink(at('allowed-not/out.mp4'), at('allowed/link.mp4'));
    await symlink(at('allowed'), at('alias'));
  });

  test('gives the real path of a file inside it', async () => {
    expect(await resolveBelow(at('allowed/in.mp4'), [at('allowed')])).toBe(at('allowed/in.mp4'));
    expect(await resolveBelow(at('alias/in.mp4'), [at('allowed')])).toBe(at('allowed/in.mp4'));
    expect(await resolveBelow(at('allowed/in.mp4'), [at('alias'), '/nowhere'])).toBe(at('allowed/in.mp4'));
  });

  test('refuses what lies elsewhere: beside it, behind .., behind a link', async () => {
    for (const name of ['allowed-not/out.mp4', 'allowed/../allowed-not/out.mp4', 'allowed/link.mp4']) {
      const resolving = resolveBelow(at(name), [at('allowed')]);
      await expect(resolving).rejects.toThrow(InputError);
      await expect(resolving).rejects.toThrow(/lies outside the allowed folders/);
    }
  });

  test('says that a file does not exist', async () => {
    await expect(resolveBelow(at('allowed/none.mp4'), [at('allowed')])).rejects.toThrow(/does not exist$/);
  });
});
