import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeFrames } from '../src/media/decode.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import type { Frame } from '../src/media/types.js';
import { sampleFrames } from '../src/pipeline/sample.js';
import { ffmpeg, h264, hasEncoder, publishedClip, rotate, temporaryFolder } from './media.js';
import { cornerOf, draw, encodeNumbered, numberOf, red } from './numbered.js';

/* The model sees what a viewer sees, and when: each frame carries its number, so that nothing of ours is the judge. */

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const base = at('base.mp4');

beforeAll(() => encodeNumbered([...h264(), base]));

/** Some frames of a file, or those at some positions. */
async function look(file: string, indices?: readonly number[]) {
  const video = await openVideo(file, defaultLimits);
  const frames: Frame[] = [];
  const damage: number[] = [];
  const options = { timeoutMs: 60_000, onDamage: (seconds: number) => void damage.push(seconds) };
  const wanted = indices ?? [...video.ptsSeconds.keys()];
  for await (const frame of decodeFrames(video, wanted, options)) frames.push(frame);
  return {
    ...video,
    frames,
    damage,
    numbers: frames.map(numberOf),
    kinds: video.info.warnings.map(({ kind }) => kind),
  };
}

const upTo = (count: number, first = 0) => Array.from({ length: count }, (_, i) => first + i);
const seconds = (count: number) => upTo(count).map((i) => i / 25);

describe('times count from the first frame shown', () => {
  test.each([
    ['transport.ts', ['-f', 'mpegts']],
    ['broadcast.ts', ['-output_ts_offset', '83013']],
    // The clock of a transport stream starts again at 2³³ ticks of 90 kHz, here in the middle.
    ['wrap.ts', ['-output_ts_offset', `${2 ** 33 / 90_000 - 2.4}`]],
    ['late.mkv', ['-output_ts_offset', '7.5']],
    ['late.mp4', ['-output_ts_offset', '7.5']],
    ['late.flv', ['-output_ts_offset', '7.5']],
    ['program.mpg', ['-f', 'mpeg', '-c:v', 'mpeg2video', '-q:v', '2', '-g', '10', '-bf', '2']],
  ])('%s', async (name, options) => {
    await ffmpeg('-i', base, '-c', 'copy', ...options, at(name));
    const all = await look(at(name));
    expect([...all.ptsSeconds]).toEqual(seconds(50));
    expect(all.numbers).toEqual(upTo(50));
    expect((await look(at(name), [7, 20, 33, 49])).numbers).toEqual([7, 20, 33, 49]);
    const range = sampleFrames(all, { startSeconds: 1, endSeconds: 1.2, frames: 9 }, 9);
    expect((await look(at(name), range)).numbers).toEqual([25, 26, 27, 28, 29, 30]);
  });
});

describe('pixels that are not square', () => {
  test.each([
    ['64/45', 160, 228],
    ['2/1', 160, 320],
    ['203/639', 160, 51],
  ])('(%s) give a picture of the shape that is shown', async (sar, _, width) => {
    const file = at(`sar-${width}.mkv`);
    await ffmpeg('-i', base, '-vf', `setsar=${sar}`, ...h264(), file);
    const { info, frames } = await look(file, [0, 30]);
    expect([info.width, info.height]).toEqual([width, 120]);
    expect(frames.map((frame) => [frame.width, frame.height])).toEqual([
      [width, 120],
      [width, 120],
    ]);
  });

  test('are upright where the video is turned', async () => {
    await ffmpeg('-i', base, '-vf', 'setsar=2', ...h264(), at('flat.mp4'));
    await rotate(at('flat.mp4'), 90, at('turned-sar.mp4'));
    const { info, frames } = await look(at('turned-sar.mp4'), [0]);
    expect([info.rotation, info.width, info.height]).toEqual([270, 120, 320]);
    expect([frames[0]!.width, frames[0]!.height]).toEqual([120, 320]);
  });
});

describe('colours', () => {
  const near = (frame: Frame, colour: readonly number[] = red) => {
    for (const [i, value] of cornerOf(frame).entries()) expect(Math.abs(value - colour[i]!)).toBeLessThan(8);
  };
  const hdr =
    'format=gbrp,zscale=tin=iec61966-2-1:pin=709:min=gbr:rin=full:p=2020:m=2020_ncl:r=tv:npl=203:t=';

  test.each(['smpte2084', 'arib-std-b67'])(
    'of high dynamic range (%s) are brought into SDR, and that is said',
    async (transfer) => {
      const file = at(`${transfer}.mp4`);
      const tags = `colorprim=bt2020:transfer=${transfer}:colormatrix=bt2020nc:log-level=none`;
      const filter = `${hdr}${transfer},format=yuv420p10le`;
      await ffmpeg('-i', base, '-vf', filter, '-c:v', 'libx265', '-x265-params', tags, file);
      const { frames, kinds, numbers } = await look(file, [0, 30]);
      expect(kinds).toEqual(['tone-mapped']);
      expect(numbers).toEqual([0, 30]);
      // HLG leaves to the screen how bright its white is.
      if (transfer === 'smpte2084') for (const frame of frames) near(frame);
    },
  );

  test.each([
    ['by its tag', [160, 120], ['-colorspace', 'bt709'], 'bt709'],
    ['by its tag', [160, 120], ['-colorspace', 'bt470bg'], 'bt601'],
    ['untagged and small, as bt601', [160, 120], [], 'bt601'],
    ['untagged and of high definition, as bt709', [1280, 720], [], 'bt709'],
    ['of full range by its tag', [160, 120], ['-color_range', 'pc'], 'bt601:out_range=full'],
  ] as const)('are read %s', async (_, [width, height], tags, matrix) => {
    const file = at(`matrix-${width}-${tags.join('')}-${matrix.slice(0, 5)}.mp4`);
    const convert = ['-vf', `scale=out_color_matrix=${matrix}`, ...tags];
    await encodeNumbered([...convert, ...h264(), file], { width, height, count: 2 });
    near((await look(file, [1])).frames[0]!);
  });
});

describe('a stream whose size changes', () => {
  test('gives each frame in its own shape', async () => {
    await encodeNumbered([...h264(), at('wide.ts')], { count: 30 });
    const tall = { width: 96, height: 160, first: 30, count: 30 };
    await encodeNumbered([...h264(), '-output_ts_offset', '1.2', at('tall.ts')], tall);
    await writeFile(
      at('sizes.ts'),
      Buffer.concat([await readFile(at('wide.ts')), await readFile(at('tall.ts'))]),
    );
    const { frames, numbers } = await look(at('sizes.ts'));
    expect(numbers).toEqual(upTo(60));
    const shapes = frames.map(({ width, height }) => `${width} × ${height}`);
    expect(shapes).toEqual([...Array(30).fill('160 × 120'), ...Array(30).fill('96 × 160')]);
  });
});

describe('parts of a file whose clock starts again', () => {
  test('are one timeline, in the order of the file, without gaps', async () => {
    for (const part of [0, 1, 2]) {
      await encodeNumbered([...h264(10), at(`part-${part}.ts`)], { first: 20 * part, count: 20 });
    }
    const parts = await Promise.all([0, 1, 2].map((part) => readFile(at(`part-${part}.ts`))));
    await writeFile(at('joined.ts'), Buffer.concat(parts));
    const { ptsSeconds, numbers, info } = await look(at('joined.ts'));
    expect([...ptsSeconds]).toEqual(seconds(60));
    expect(numbers).toEqual(upTo(60));
    expect(info.warnings).toMatchObject([
      { kind: 'joined', message: expect.stringMatching(/starts anew 2 times/) },
    ]);
    expect((await look(at('joined.ts'), [5, 25, 39, 40, 59])).numbers).toEqual([5, 25, 39, 40, 59]);
  });

  test('are told of where they cannot be read', async () => {
    await ffmpeg('-i', base, '-c', 'copy', at('once.mkv'));
    const once = await readFile(at('once.mkv'));
    await writeFile(at('twice.mkv'), Buffer.concat([once, once]));
    const { numbers, info } = await look(at('twice.mkv'));
    expect(numbers).toEqual(upTo(50));
    expect(info.warnings).toMatchObject([
      { kind: 'joined', message: expect.stringMatching(/50 frames are not read/) },
    ]);
  });
});

describe('a decoder that complains although nothing is missing', () => {
  test('is not believed', async () => {
    await ffmpeg('-i', base, '-c', 'copy', at('stream.h264'));
    const nals = (await readFile(at('stream.h264'))).toString('latin1').split('\0\0\u0001');
    // Before each slice a message of type 0 that claims 64 bytes and has 8.
    const message = '\u0006\0\u0040XXXXXXXX\u0080';
    const isSlice = (nal: string) => [1, 5].includes(nal.charCodeAt(0) & 31);
    const patched = nals.flatMap((nal) => (isSlice(nal) ? [message, nal] : [nal])).join('\0\0\u0001');
    await writeFile(at('patched.h264'), Buffer.from(patched, 'latin1'));
    await ffmpeg(
      '-r',
      '25',
      '-i',
      at('patched.h264'),
      '-c',
      'copy',
      '-bsf:v',
      'setts=ts=N/(25*TB)',
      at('sei.mkv'),
    );
    const { numbers, damage, kinds } = await look(at('sei.mkv'));
    expect(numbers).toHaveLength(50);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect([damage, kinds]).toEqual([[], []]);
  });
});

describe('what lies beside the video', () => {
  const sine = ['-f', 'lavfi', '-i', 'sine=duration=2'];
  test.for([
    ['adpcm.avi', ['-c:a', 'adpcm_ms']],
    ['wma.mkv', ['-c:a', 'wmav2']],
    ['truehd.mkv', ['-c:a', 'truehd', '-strict', '-2', '-ar', '48000']],
    ['speex.mkv', ['-c:a', 'libspeex', '-ar', '16000']],
    ['pcm.mov', ['-c:a', 'pcm_s24be']],
    ['gsm.mov', ['-c:a', 'pcm_f64le']],
  ] as const)('does not matter, whatever its codec (%s)', async ([name, sound], context) => {
    if (!(await hasEncoder(sound[1]))) return context.skip(`this ffmpeg has no encoder ${sound[1]}`);
    await ffmpeg('-i', base, ...sine, '-map', '0', '-map', '1', '-c:v', 'copy', ...sound, at(name));
    expect((await look(at(name))).numbers).toEqual(upTo(50));
  });

  const subtitles = async (count: number, name: string) => {
    await writeFile(at('text.srt'), '1\n00:00:00,000 --> 00:00:01,000\nhello\n');
    const maps = upTo(count).flatMap(() => ['-map', '1']);
    await ffmpeg('-i', base, '-i', at('text.srt'), '-map', '0', ...maps, '-c', 'copy', at(name));
  };

  test('may be many streams', async () => {
    await subtitles(60, 'many.mkv');
    expect((await look(at('many.mkv'), [0, 49])).numbers).toEqual([0, 49]);
  });

  test('is refused in a sentence where it is too many', async () => {
    await subtitles(120, 'too-many.mkv');
    await expect(look(at('too-many.mkv'))).rejects.toThrow(/expected at most 100 streams, found more$/);
  });
});

describe('pictures that move', () => {
  test.each([
    ['anim.webp', ['-c:v', 'libwebp_anim', '-lossless', '1', '-loop', '0']],
    ['anim.png', ['-c:v', 'apng', '-f', 'apng']],
    ['anim.gif', []],
  ])('(%s) are videos', async (name, options) => {
    await encodeNumbered([...options, at(name)], { count: 12 });
    const { info, ptsSeconds, numbers } = await look(at(name));
    expect(info).toMatchObject({ isStill: false, width: 160, height: 120 });
    expect([...ptsSeconds]).toEqual(seconds(12));
    expect(numbers).toEqual(upTo(12));
  });

  test('are refused where a frame is damaged', async () => {
    const bytes = await readFile(at('anim.webp'));
    const frame = bytes.lastIndexOf('VP8L');
    bytes.fill(0xff, frame + 8, frame + 16);
    await writeFile(at('torn.webp'), bytes);
    await expect(look(at('torn.webp'))).rejects.toThrow(/frame 11 of the animation is damaged$/);
  });
});

describe('a camera held otherwise (EXIF)', () => {
  /** A picture in which the quarters have different colours, as each orientation stores it. */
  const stored: Record<number, string> = {
    2: 'hflip',
    3: 'hflip,vflip',
    4: 'vflip',
    5: 'transpose=0',
    6: 'transpose=2',
    7: 'transpose=3',
    8: 'transpose=1',
  };
  const exif = (orientation: number) =>
    Buffer.from(`4d4d002a00000008000101120003000000010${`00${orientation}`.slice(-3)}000000000000`, 'hex');

  /** Adds EXIF to a picture without it. */
  async function tag(name: string, orientation: number): Promise<void> {
    const bytes = await readFile(at(name));
    const content = exif(orientation);
    if (name.endsWith('png')) {
      const chunk = Buffer.concat([Buffer.alloc(4), Buffer.from('eXIf'), content, Buffer.alloc(4)]);
      chunk.writeUInt32BE(content.length);
      await writeFile(at(name), Buffer.concat([bytes.subarray(0, 33), chunk, bytes.subarray(33)]));
      return;
    }
    const chunk = Buffer.concat([Buffer.from('EXIF'), Buffer.alloc(4), content]);
    chunk.writeUInt32LE(content.length, 4);
    const all = Buffer.concat([bytes, chunk]);
    all.writeUInt32LE(all.length - 8, 4);
    await writeFile(at(name), all);
  }

  test.each(
    ['png', 'webp'].flatMap((kind) =>
      Object.entries(stored).map(([value, filter]) => [kind, Number(value), filter] as const),
    ),
  )('(%s, orientation %d) is turned upright', async (kind, orientation, filter) => {
    const name = `held-${orientation}.${kind}`;
    const lossless = kind === 'webp' ? ['-c:v', 'libwebp', '-lossless', '1', '-pix_fmt', 'bgra'] : [];
    await encodeNumbered(['-vf', filter, ...lossless, at(name)], { count: 1, first: 0b1001_0110_1011_0001 });
    await tag(name, orientation);
    const { info, frames } = await look(at(name));
    expect([info.width, info.height]).toEqual([160, 120]);
    expect(Buffer.compare(frames[0]!.rgb, draw(0b1001_0110_1011_0001, 160, 120))).toBe(0);
  });
});

describe('an extreme shape', () => {
  test('is refused at once', async () => {
    await encodeNumbered([at('thread.png')], { width: 2, height: 1000, count: 1 });
    await expect(look(at('thread.png'))).rejects.toThrow(
      /expected frames of a shape up to 256 : 1, found 2 × 1000 pixels$/,
    );
  });
});

describe('a frame is on display until the next', () => {
  test('also behind the last one, as long as the file is played', async () => {
    const sound = ['-f', 'lavfi', '-i', 'sine=duration=6'];
    await ffmpeg('-i', base, ...sound, '-c:v', 'copy', '-map', '0', '-map', '1', at('frozen.mp4'));
    const video = await openVideo(at('frozen.mp4'), defaultLimits);
    expect(video.info.durationSeconds).toBe(2);
    const frozen = sampleFrames(video, { startSeconds: 4, endSeconds: 5 }, 8);
    expect((await look(at('frozen.mp4'), frozen)).numbers).toEqual([49]);
  });
});

describe('files that went wrong', () => {
  const cases: [string, number[]][] = [
    ['a1.ts', upTo(250)],
    ['cat_reset.ts', upTo(200)],
    ['sei.mp4', upTo(250)],
    ['subs20.mp4', upTo(250)],
    ['k_c608.mp4', upTo(250)],
    ['k_h264_speex.mkv', upTo(250)],
    ['reschange.webm', upTo(100)],
  ];
  test.for(cases)('%s gives every frame, in its place', async ([name, expected], context) => {
    const file = publishedClip(`cases/${name}`);
    if (file === null) return context.skip(`${name} is not beside the repository`);
    const { numbers, ptsSeconds, damage } = await look(file);
    expect(numbers).toEqual(expected);
    expect([...ptsSeconds]).toEqual(seconds(expected.length));
    expect(damage).toEqual([]);
  });
});
