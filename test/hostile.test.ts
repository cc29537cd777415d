import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, rename, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../src/errors.js';
import { decodeFrames } from '../src/media/decode.js';
import { useDecoder } from '../src/media/ffmpeg.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import type { Frame, Limits } from '../src/media/types.js';
import { decodersAlive, ffmpeg, h264, plainFrames, temporaryFolder, testPattern, yuv420p } from './media.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const plain = at('plain.mp4');
const stream = at('stream.mp4');

beforeAll(async () => {
  await ffmpeg(...testPattern(160, 120, 25, 4), ...h264(25), plain);
  await ffmpeg('-i', plain, '-c', 'copy', '-movflags', '+faststart', stream);
});

afterEach(async () => {
  expect(await decodersAlive()).toEqual([]);
});

/** Opens a video and decodes some frames all over it. */
async function read(file: string, limits: Limits = defaultLimits): Promise<number> {
  const video = await openVideo(file, limits);
  const last = video.ptsSeconds.length - 1;
  const indices = [...new Set([0, last >> 2, last >> 1, last])].sort((a, b) => a - b);
  let frames = 0;
  for await (const _ of decodeFrames(video, indices, { timeoutMs: limits.decodeTimeoutMs })) frames++;
  return frames;
}

/** The message of the InputError that a file must give. */
async function complaint(file: string, limits?: Limits): Promise<string> {
  const error = await read(file, limits).then(
    () => new Error('was read without complaint'),
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(InputError);
  return (error as Error).message;
}

describe('a path that is no video file', () => {
  test('missing', async () => {
    expect(await complaint(at('missing.mp4'))).toMatch(/does not exist$/);
  });

  test('a folder', async () => {
    await mkdir(at('folder.mp4'));
    expect(await complaint(at('folder.mp4'))).toMatch(/is a folder: expected a video file$/);
  });

  test('a FIFO, at once', async () => {
    execFileSync('mkfifo', [at('fifo.mp4')]);
    expect(await complaint(at('fifo.mp4'))).toMatch(/is a FIFO: expected a video file$/);
  });

  test('a socket', async () => {
    const server = createServer().listen(at('socket.mp4'));
    await once(server, 'listening');
    expect(await complaint(at('socket.mp4'))).toMatch(/is a socket or a device: expected a video file$/);
    server.close();
  });

  test('a device', async () => {
    expect(await complaint('/dev/zero')).toMatch(/is a device: expected a video file$/);
  });

  test('without permission to read', async (context) => {
    if (process.getuid?.() === 0) return context.skip('the superuser may read everything');
    await writeFile(at('secret.mp4'), 'x');
    await chmod(at('secret.mp4'), 0);
    expect(await complaint(at('secret.mp4'))).toMatch(/may not be read: permission denied$/);
  });

  test('a URL, which is never opened', async () => {
    expect(await complaint('http://127.0.0.1:9/clip.mp4')).toMatch(/does not exist$/);
    expect(await complaint(`concat:${plain}|${plain}`)).toMatch(/does not exist/);
  });
});

describe('a file that is no video', () => {
  test('empty', async () => {
    await writeFile(at('empty.mp4'), '');
    expect(await complaint(at('empty.mp4'))).toMatch(/is empty \(0 bytes\): expected a video file$/);
  });

  test('text', async () => {
    await writeFile(at('text.mp4'), 'This is no video.\n');
    expect(await complaint(at('text.mp4'))).toMatch(/expected a video .*, found text$/);
  });

  test('zeros', async () => {
    await writeFile(at('zeros.mp4'), new Uint8Array(100_000));
    expect(await complaint(at('zeros.mp4'))).toMatch(/expected a video/);
  });

  test('sound', async () => {
    await ffmpeg('-f', 'lavfi', '-i', 'sine=duration=1', at('sound.m4a'));
    expect(await complaint(at('sound.m4a'))).toMatch(/expected a video stream, found only audio \(aac\)$/);
  });

  test('sound with cover art', async () => {
    const cover = [...testPattern(64, 64, 1, 1), '-frames:v', '1', '-update', '1'];
    await ffmpeg(...cover, at('cover.png'));
    const maps = ['-map', '0', '-map', '1', '-disposition:v', 'attached_pic', '-c:v', 'png'];
    await ffmpeg('-f', 'lavfi', '-i', 'sine=duration=1', '-i', at('cover.png'), ...maps, at('album.m4a'));
    expect(await complaint(at('album.m4a'))).toMatch(/found only audio \(aac\) and a cover picture$/);
  });

  test('a video of zero length', async () => {
    await ffmpeg(
      ...testPattern(64, 48, 25, 1),
      '-t',
      '0',
      ...h264(),
      '-movflags',
      '+empty_moov',
      at('none.mp4'),
    );
    expect(await complaint(at('none.mp4'))).toMatch(/0 seconds long|no frame|cannot be read/);
  });

  test('a codec that is not on the list', async () => {
    await ffmpeg(...testPattern(64, 48, 25, 1), '-c:v', 'magicyuv', at('magic.avi'));
    expect(await complaint(at('magic.avi'))).toMatch(/codec magicyuv is not accepted, only h264/);
  });
});

describe('a playlist that points to another file', () => {
  const segments = `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nplain.mp4\n#EXT-X-ENDLIST\n`;
  test.each([
    ['list.m3u8', segments, /found a playlist \(HLS\), which would open other files$/],
    ['list.mp4', segments, /found a playlist \(HLS\)/],
    ['concat.mp4', "ffconcat version 1.0\nfile 'plain.mp4'\n", /found a playlist \(ffconcat\)/],
    ['bom.mp4', `\uFEFF${segments}`, /found text$/],
    ['dash.mp4', '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', /found text$/],
    ['sdp.mp4', 'v=0\nc=IN IP4 127.0.0.1\nm=video 5000 RTP/AVP 96\n', /found text$/],
  ])('(%s) is refused', async (name, content, message) => {
    await writeFile(at(name), content);
    expect(await complaint(at(name))).toMatch(message);
  });
});

/** What is read of a damaged file: its warnings, and for each wanted time the one that stands in. */
async function readDamaged(file: string, indices: readonly number[], strict = false) {
  const video = await openVideo(file, defaultLimits, { strict });
  const damage: [number, number][] = [];
  const frames: Frame[] = [];
  const options = { timeoutMs: 60_000, strict, onDamage: (...times: [number, number]) => damage.push(times) };
  for await (const frame of decodeFrames(video, indices, options)) frames.push(frame);
  return { warnings: video.info.warnings, durationSeconds: video.info.durationSeconds, damage, frames };
}

/** Every frame that came is the one that the whole file has at its time. */
async function expectSound(frames: readonly Frame[], whole: string) {
  const plain = await plainFrames(whole, 160 * 120 * 3);
  for (const { ptsSeconds, rgb } of frames) {
    expect(Buffer.compare(rgb, plain[Math.round(ptsSeconds * 25)]!), `at ${ptsSeconds} seconds`).toBe(0);
  }
}

describe('a damaged video', () => {
  test('cut off before its index', async () => {
    const whole = await readFile(plain);
    await writeFile(at('no-index.mp4'), whole.subarray(0, whole.length / 2));
    expect(await complaint(at('no-index.mp4'))).toMatch(/mp4 without its index: it is truncated$/);
  });

  test.each(['mp4', 'mkv'])('cut off (%s) is read as far as it goes, and told', async (kind) => {
    const whole = at(`uncut.${kind}`);
    const cut = at(`cut.${kind}`);
    await ffmpeg('-i', stream, '-c', 'copy', ...(kind === 'mp4' ? ['-movflags', '+faststart'] : []), whole);
    const bytes = await readFile(whole);
    await writeFile(cut, bytes.subarray(0, bytes.length * 0.6));
    const { warnings, durationSeconds, frames } = await readDamaged(cut, [0, 20, 40]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toMatchObject({
      kind: 'truncated',
      message: `it ends in the middle of its video: ${durationSeconds} of 4 seconds can be read`,
    });
    expect(durationSeconds).toBeGreaterThan(1.6);
    await expectSound(frames, whole);
    await expect(readDamaged(cut, [0], true)).rejects.toThrow(
      /is truncated: it ends in the middle of its video/,
    );
  });

  test('overwritten in the middle gives the nearest sound frames, and says which', async () => {
    const bytes = await readFile(stream);
    bytes.fill(0x5a, Math.floor(bytes.length * 0.6), Math.floor(bytes.length * 0.7));
    await writeFile(at('torn.mp4'), bytes);
    const { damage, frames } = await readDamaged(at('torn.mp4'), [0, 33, 66, 99]);
    expect(frames).toHaveLength(4);
    await expectSound(frames, stream);
    // Of four groups of 25 frames the third is torn.
    expect(damage.map(([wanted]) => wanted)).toEqual([2.64]);
    expect(damage.map(([, taken]) => taken)).toEqual([frames[2]!.ptsSeconds]);
    await expect(readDamaged(at('torn.mp4'), [0, 33, 66, 99], true)).rejects.toThrow(
      /the frame at 2.64 seconds cannot be decoded: .* damaged/,
    );
  });

  test('whose decoder fills the gap by guessing', async () => {
    const mpeg2 = ['-c:v', 'mpeg2video', '-g', '25', ...yuv420p];
    await ffmpeg(...testPattern(160, 120, 25, 4), ...mpeg2, at('mpeg2.mkv'));
    const bytes = await readFile(at('mpeg2.mkv'));
    bytes.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 64);
    await writeFile(at('guessed.mkv'), bytes);
    const { damage, frames } = await readDamaged(at('guessed.mkv'), [...Array(100).keys()]);
    expect(frames).toHaveLength(100);
    expect(damage.length).toBeGreaterThan(0);
    await expectSound(frames, at('mpeg2.mkv'));
    await expect(readDamaged(at('guessed.mkv'), [...Array(100).keys()], true)).rejects.toThrow(
      /the frame at \S+ seconds cannot be decoded: .* damaged/,
    );
  });

  test('without a sound frame is refused', async () => {
    const bytes = await readFile(stream);
    const mdat = bytes.indexOf('mdat') + 4;
    bytes.fill(0x5a, mdat);
    await writeFile(at('ruined.mp4'), bytes);
    expect(await complaint(at('ruined.mp4'))).toMatch(/the frame at 0 seconds cannot be decoded: .* damaged/);
  });

  test('gives its sound frames nevertheless', async () => {
    // The first of its four groups of pictures lies before the torn part.
    const video = await openVideo(at('torn.mp4'), defaultLimits);
    const times: number[] = [];
    for await (const { ptsSeconds } of decodeFrames(video, [0, 10, 20], { timeoutMs: 60_000 })) {
      times.push(ptsSeconds);
    }
    expect(times).toEqual([0, 0.4, 0.8]);
  });

  test.each([
    ['shortened', () => truncate(at('changed.mp4'), 20_000)],
    ['replaced', () => rename(at('other.mp4'), at('changed.mp4'))],
  ])('that is %s between the check and the decoding', async (_, change) => {
    for (const name of ['changed.mp4', 'other.mp4']) await writeFile(at(name), await readFile(stream));
    const video = await openVideo(at('changed.mp4'), defaultLimits);
    await change();
    const decoding = (async () => {
      for await (const _ of decodeFrames(video, [0], { timeoutMs: 60_000 }));
    })();
    await expect(decoding).rejects.toThrow(/was changed while it was being read/);
  });
});

describe('a video that wants too much', () => {
  test('frames of enormous dimensions', async () => {
    const fill = ['-f', 'lavfi', '-i', 'color=red:size=16000x16000:rate=1:duration=1'];
    await ffmpeg(...fill, '-c:v', 'mjpeg', ...yuv420p.slice(0, 1), 'yuvj420p', at('bomb.avi'));
    expect(await complaint(at('bomb.avi'))).toMatch(/frames of 16000 × 16000 pixels, more than the limit/);
  });

  test('more seconds than its header says', async () => {
    await ffmpeg(...testPattern(16, 16, 1, 100), ...h264(10), at('long.ts'));
    const limits = { ...defaultLimits, maxSeconds: 50 };
    expect(await complaint(at('long.ts'), limits)).toMatch(/seconds/);
  });
});

describe('a decoder that hangs', () => {
  /** Programs that take our place in the pipeline; `sleep` is a grandchild, which must not stay either. */
  async function fake(name: string, body: string): Promise<string> {
    await writeFile(at(name), `#!/bin/sh\n${body}\n`);
    await chmod(at(name), 0o755);
    return at(name);
  }
  const hang = '/bin/sleep 4242\nexit 1';
  const limits = { ...defaultLimits, decodeTimeoutMs: 300 };

  afterEach(async () => {
    useDecoder({ ffmpeg: 'ffmpeg', ffprobe: 'ffprobe' });
    expect(execFileSync('ps', ['-eo', 'args=']).toString()).not.toMatch(/sleep 4242/);
  });

  test('while it probes is killed at the deadline', async () => {
    useDecoder({ ffprobe: await fake('hanging-ffprobe', hang) });
    expect(await complaint(plain, limits)).toMatch(/ffprobe did not finish within 0.3 s and was killed$/);
  });

  test('while it probes is killed when the job is aborted', async () => {
    useDecoder({ ffprobe: await fake('hanging-ffprobe', hang) });
    const controller = new AbortController();
    const opening = openVideo(plain, defaultLimits, { signal: controller.signal });
    await expect.poll(decodersAlive, { timeout: 30_000 }).not.toEqual([]);
    controller.abort(new Error('not wanted any more'));
    await expect(opening).rejects.toThrow('not wanted any more');
    const again = openVideo(plain, defaultLimits, { signal: controller.signal });
    await expect(again).rejects.toThrow('not wanted any more');
  });

  test('while it decodes is killed at the deadline', async () => {
    const video = await openVideo(plain, defaultLimits);
    const version = 'case "$*" in *rawvideo*null*) echo "ffmpeg version 5.1" >&2; exit 0;; esac';
    useDecoder({ ffmpeg: await fake('hanging-decoder', `${version}\n${hang}`) });
    const decoding = (async () => {
      for await (const _ of decodeFrames(video, [0], { timeoutMs: 300 }));
    })();
    await expect(decoding).rejects.toThrow(InputError);
    await expect(decoding).rejects.toThrow(/ffmpeg did not finish within 0.3 s and was killed$/);
  });

  test('is not there for a machine without ffmpeg, which is no fault of the input', async () => {
    useDecoder({ ffmpeg: 'no-such-ffmpeg' });
    const opening = openVideo(plain, defaultLimits);
    await expect(opening).rejects.toThrow(/no-such-ffmpeg not found on PATH: install ffmpeg/);
    await expect(opening).rejects.not.toThrow(InputError);
  });
});

describe('a worker that is killed with -9', () => {
  test('takes its decoder with it', async () => {
    // A process of its own that stops in the middle of a video, its decoder waiting for it: more than is held of a short one.
    const long = at('long.mp4');
    await ffmpeg(...testPattern(640, 480, 25, 8), ...h264(25), long);
    const script = `
      import { openVideo, defaultLimits } from '${new URL('../dist/src/media/open.js', import.meta.url)}';
      import { decodeFrames } from '${new URL('../dist/src/media/decode.js', import.meta.url)}';
      const video = await openVideo(${JSON.stringify(long)}, defaultLimits);
      for await (const frame of decodeFrames(video, [...video.ptsSeconds.keys()], { timeoutMs: 60000 })) {
        console.log('frame', frame.index);
        await new Promise((resolve) => setTimeout(resolve, 60000));
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(child.stdout, 'data');
    const decoders = await decodersAlive();
    expect(decoders).not.toEqual([]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    const running = () => execFileSync('ps', ['-eo', 'args=']).toString();
    await expect.poll(running, { timeout: 30_000 }).not.toContain(decoders.at(-1));
  });
});
