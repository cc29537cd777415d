import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { decodeFrames } from '../src/media/decode.js';
import { planProcesses, planRuns, selectExpression } from '../src/media/decode-plan.js';
import { seekTime } from '../src/media/decode-start.js';
import { showFrames } from '../src/media/decoder-log.js';
import { Deadline } from '../src/media/decoder-process.js';
import { openRawVideo } from '../src/media/ffmpeg.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import type { Frame } from '../src/media/types.js';
import { sampleFrames } from '../src/pipeline/sample.js';
import {
  decodersAlive,
  ffmpeg,
  fromFirst,
  h264,
  plainFrames,
  publishedClip,
  rotate,
  shownTimes,
  temporaryFolder,
  testPattern,
  yuv420p,
} from './media.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const options = { timeoutMs: 60_000 };

async function collect(frames: AsyncIterable<Frame>): Promise<Frame[]> {
  const list: Frame[] = [];
  for await (const frame of frames) list.push(frame);
  return list;
}

/** Drops two of five frames, so that the others come irregularly. */
const irregular = "select='lt(mod(n,5),3)'";
const pattern = (seconds = 3) => testPattern(160, 120, 25, seconds);

/** How each kind of clip is made. */
const clips: Record<string, (file: string) => Promise<void>> = {
  'constant.mp4': (file) => ffmpeg(...pattern(), ...h264(), file),
  'one-keyframe.mkv': (file) => ffmpeg(...pattern(), ...h264(1000), file),
  'variable.mkv': (file) =>
    ffmpeg(...testPattern(160, 120, 25, 3, irregular), '-fps_mode', 'vfr', ...h264(), file),
  'variable.mp4': (file) =>
    ffmpeg(...testPattern(160, 120, 25, 3, irregular), '-fps_mode', 'vfr', ...h264(), file),
  'edit-list.mp4': async (file) => {
    await ffmpeg(...pattern(), ...h264(), at('uncut.mp4'));
    await ffmpeg('-ss', '1.3', '-i', at('uncut.mp4'), '-t', '1.2', '-c', 'copy', file);
  },
  'rotated.mp4': async (file) => {
    await ffmpeg(...pattern(), ...h264(), at('upright.mp4'));
    await rotate(at('upright.mp4'), 90, file);
  },
  'odd-size.mp4': (file) =>
    ffmpeg(...testPattern(161, 123, 25, 2), '-c:v', 'libx264', '-g', '20', '-pix_fmt', 'yuv444p', file),
  'ten-bit.mkv': (file) =>
    ffmpeg(...pattern(2), '-c:v', 'libx264', '-g', '20', '-pix_fmt', 'yuv420p10le', file),
  'transport.ts': (file) => ffmpeg(...pattern(), ...h264(), file),
  // A recording that was switched on in the middle of a group of pictures.
  'no-first-keyframe.ts': async (file) => {
    await ffmpeg(...pattern(), ...h264(), at('recording.ts'));
    const whole = await readFile(at('recording.ts'));
    await writeFile(file, whole.subarray(188 * Math.floor(whole.length / 6 / 188)));
  },
  'late-start.mkv': (file) => ffmpeg(...pattern(), ...h264(), '-output_ts_offset', '7.5', file),
  'open-gop.mp4': (file) => ffmpeg(...pattern(), ...h264(), '-x264-params', 'open-gop=1:scenecut=0', file),
  'hevc.mp4': (file) => ffmpeg(...pattern(2), '-c:v', 'libx265', '-x265-params', 'log-level=none', file),
  'vp9.webm': (file) =>
    ffmpeg(...pattern(2), '-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-g', '20', file),
  // Its alternate reference frames are packets of their own, which are never shown: two passes make some.
  'hidden-frames-vp8.webm': async (file) => {
    const alternate = ['-auto-alt-ref', '1', '-lag-in-frames', '16', '-g', '30'];
    const vp8 = [...pattern(2), '-c:v', 'libvpx', '-b:v', '200k', ...alternate, '-passlogfile', at('vp8')];
    await ffmpeg(...vp8, '-pass', '1', '-f', 'null', '-');
    await ffmpeg(...vp8, '-pass', '2', file);
  },
  'mpeg4.avi': (file) => ffmpeg(...pattern(2), '-c:v', 'mpeg4', '-bf', '2', ...yuv420p, file),
  'h264.avi': (file) => ffmpeg(...pattern(2), ...h264(), file),
  'mpeg1.mpg': (file) => ffmpeg(...pattern(2), '-c:v', 'mpeg1video', '-bf', '2', ...yuv420p, file),
  'mpeg2.vob': (file) => ffmpeg(...pattern(2), '-c:v', 'mpeg2video', '-bf', '2', '-f', 'vob', file),
  'sorenson.flv': (file) => ffmpeg(...pattern(2), '-c:v', 'flv1', file),
  'windows-media.wmv': (file) => ffmpeg(...pattern(2), '-c:v', 'wmv2', file),
  'msmpeg4.avi': (file) => ffmpeg(...pattern(2), '-c:v', 'msmpeg4', file),
  'theora.ogv': (file) => ffmpeg(...pattern(2), '-c:v', 'libtheora', file),
  'prores.mov': (file) => ffmpeg(...pattern(1), '-c:v', 'prores', file),
  'h263.3gp': (file) =>
    ffmpeg(...testPattern(176, 144, 25, 2), '-c:v', 'h263', '-aspect', '11:9', '-bitexact', file),
};
const names = Object.keys(clips);

/** The clip, and what plain ffmpeg and ffprobe make of it. */
async function opened(file: string) {
  const video = await openVideo(file, defaultLimits);
  const { width, height, streamIndex } = video.info;
  const plain = await plainFrames(file, width * height * 3, `0:${streamIndex}`);
  return { video, plain, times: await shownTimes(file, String(streamIndex)) };
}

describe.each(names)('%s', (name) => {
  let clip: Awaited<ReturnType<typeof opened>>;

  beforeAll(async () => {
    await clips[name]!(at(name));
    clip = await opened(at(name));
  });

  test('has the frame times that ffprobe finds by decoding', () => {
    const ours = [...clip.video.ptsSeconds];
    expect(ours).toHaveLength(clip.plain.length);
    const theirs = fromFirst(clip.times);
    expect(ours.map((time, i) => (Number.isNaN(theirs[i]!) ? Number.NaN : time))).toEqual(theirs);
  });

  test.each(['seek', 'pass'] as const)('gives the frames of plain ffmpeg by %s', async (strategy) => {
    const { video, plain } = clip;
    const indices = sampleFrames(video, { frames: 5 }, 5);
    const frames = await collect(decodeFrames(video, indices, { ...options, strategy }));
    expect(frames.map((frame) => frame.index)).toEqual(indices.map((_, i) => i));
    expect(frames.map((frame) => frame.ptsSeconds)).toEqual(indices.map((index) => video.ptsSeconds[index]));
    indices.forEach((index, i) => {
      expect(Buffer.compare(frames[i]!.rgb, plain[index]!), `frame ${index}`).toBe(0);
    });
  });
});

describe('every frame of a clip', () => {
  test('comes in one pass', async () => {
    await clips['variable.mkv']!(at('all.mkv'));
    const { video, plain } = await opened(at('all.mkv'));
    const all = [...video.ptsSeconds.keys()];
    const frames = await collect(decodeFrames(video, all, options));
    expect(frames).toHaveLength(plain.length);
    frames.forEach((frame, i) => {
      expect(Buffer.compare(frame.rgb, plain[i]!), `frame ${i}`).toBe(0);
    });
  });
});

describe('frames at one and the same time', () => {
  test.each(['seek', 'pass'] as const)('count once, the first of them (%s)', async (strategy) => {
    const mjpeg = ['-c:v', 'mjpeg', '-pix_fmt', 'yuvj420p'];
    await ffmpeg(...pattern(1), ...mjpeg, at('single.mkv'));
    const pairs = ['-c', 'copy', '-bsf:v', 'setts=ts=floor(N/2)*80'];
    await ffmpeg('-i', at('single.mkv'), ...pairs, at('pairs.mkv'));
    const { video, plain, times } = await opened(at('pairs.mkv'));
    expect(times.slice(0, 5)).toEqual([0, 0, 0.08, 0.08, 0.16]);
    expect([...video.ptsSeconds].slice(0, 3)).toEqual([0, 0.08, 0.16]);
    const indices = [0, 1, 4, 9, 12];
    const frames = await collect(decodeFrames(video, indices, { ...options, strategy }));
    indices.forEach((index, i) => {
      expect(Buffer.compare(frames[i]!.rgb, plain[2 * index]!), `frame ${index}`).toBe(0);
    });
  });
});

describe('interlaced frames', () => {
  test.each([
    ['top', 'tff'],
    ['bottom', 'bff'],
  ] as const)('are made whole of their first field, the %s one', async (first, mode) => {
    const file = at(`interlaced-${first}.ts`);
    const fields = ['-flags', '+ilme+ildct', '-vf', `setfield=${mode}`];
    await ffmpeg(...pattern(2), '-c:v', 'mpeg2video', ...fields, '-bf', '2', ...yuv420p, file);
    const video = await openVideo(file, defaultLimits);
    const plain = await plainFrames(file, 160 * 120 * 3, '0:V:0', ['-vf', 'scale=interl=1']);
    expect([...video.ptsSeconds]).toEqual(fromFirst(await shownTimes(file)));
    const frames = await collect(decodeFrames(video, [0, 20, 40], options));
    const line = (rgb: Uint8Array, y: number) => rgb.subarray(y * 480, (y + 1) * 480);
    for (const [i, { rgb }] of frames.entries()) {
      for (let y = 2; y < 118; y += 2) {
        const kept = first === 'top' ? y : y + 1;
        expect(Buffer.compare(line(rgb, kept), line(plain[20 * i]!, kept)), `line ${kept}`).toBe(0);
        const [above, between, below] = [kept, kept + 1, kept + 2].map((at) => line(rgb, at)[90]!);
        expect(between).toBe((above! + below! + 1) >> 1);
      }
    }
  });
});

describe('published clips', () => {
  const files = ['demo_9.mp4', 'h264_10bits.mp4', 'h265_video.mp4', 'nasa_13013.mp4'];
  test.for(files)('%s gives the frames of plain ffmpeg', async (name, context) => {
    const file = publishedClip(name);
    if (file === null) return context.skip(`${name} is not beside the repository`);
    const { video, plain, times } = await opened(file);
    expect([...video.ptsSeconds]).toEqual(fromFirst(times));
    const indices = sampleFrames(video, { frames: 8 }, 8);
    const frames = await collect(decodeFrames(video, indices, options));
    frames.forEach((frame, i) => {
      expect(Buffer.compare(frame.rgb, plain[indices[i]!]!), `frame ${indices[i]}`).toBe(0);
    });
  });
});

describe('a consumer', () => {
  beforeAll(() => clips['constant.mp4']!(at('constant.mp4')));

  test.each(['seek', 'pass'] as const)('that stops early leaves no process (%s)', async (strategy) => {
    const video = await openVideo(at('constant.mp4'), defaultLimits);
    for await (const frame of decodeFrames(video, [...video.ptsSeconds.keys()], { ...options, strategy })) {
      if (frame.index === 1) break;
    }
    expect(await decodersAlive()).toEqual([]);
  });

  test('that throws leaves no process', async () => {
    const video = await openVideo(at('constant.mp4'), defaultLimits);
    const loop = async () => {
      for await (const frame of decodeFrames(video, [0, 30, 60], options)) {
        throw new Error(`enough at ${frame.index}`);
      }
    };
    await expect(loop()).rejects.toThrow('enough at 0');
    expect(await decodersAlive()).toEqual([]);
  });

  test('that aborts gets its own reason, and leaves no process', async () => {
    const video = await openVideo(at('constant.mp4'), defaultLimits);
    const controller = new AbortController();
    const loop = async () => {
      const settings = { ...options, signal: controller.signal };
      for await (const frame of decodeFrames(video, [...video.ptsSeconds.keys()], settings)) {
        if (frame.index === 3) controller.abort(new Error('not wanted any more'));
      }
    };
    await expect(loop()).rejects.toThrow('not wanted any more');
    expect(await decodersAlive()).toEqual([]);
  });

  test('asking for frames that are not there gets a RangeError', async () => {
    const video = await openVideo(at('constant.mp4'), defaultLimits);
    await expect(collect(decodeFrames(video, [0, 75], options))).rejects.toThrow(
      new RangeError('frame indices must ascend and lie between 0 and 74, got 75 at place 1'),
    );
    await expect(collect(decodeFrames(video, [5, 5], options))).rejects.toThrow(RangeError);
  });
});

describe('a stretch that is over', () => {
  test('is decoded no further while another of its process goes on', async () => {
    await ffmpeg(...pattern(), ...h264(), at('over.mp4'));
    const { media, streamMap: stream } = await openVideo(at('over.mp4'), defaultLimits);
    const raw = await openRawVideo(media, {
      ...{ deadline: new Deadline(60_000), signal: undefined, threads: 1, holds: true, rotates: true },
      stretches: [4, 1].map((frames, i) => ({ from: null, stream, frames, filters: [showFrames(i)] })),
    });
    for (const pixels of raw.pixels) pixels.resume();
    let decoded = 0;
    while (await raw.nextFrame(1)) decoded++;
    await raw.stop();
    expect(decoded).toBeGreaterThan(0);
    expect(decoded).toBeLessThan(20); // Of 75: the frames that were under way.
  });
});

describe('the plan', () => {
  /** 10,000 frames of 720p with a keyframe every 250. */
  const video = {
    info: { width: 1280, height: 720 },
    index: {
      ptsSeconds: { length: 10_000 },
      keyframes: Uint32Array.from({ length: 40 }, (_, i) => i * 250),
      parts: Uint32Array.of(0),
    },
    seeking: 'time',
  } as unknown as Parameters<typeof planRuns>[0];
  const every = (step: number) => Array.from({ length: Math.ceil(10_000 / step) }, (_, i) => i * step);

  test('seeks to few frames of a long video, each from its own keyframe', () => {
    const runs = planRuns(video, [0, 3000, 6000, 9000], 'auto');
    expect(runs.map((run) => run.seek)).toEqual([false, true, true, true]);
  });

  test('reads many frames in one pass', () => {
    expect(planRuns(video, every(20), 'auto')).toHaveLength(1);
  });

  test('starts anew only where that is cheaper than to go on', () => {
    // Frames 5000 to 5100 lie together, far from the first and the last.
    const runs = planRuns(video, [0, 5000, 5050, 5100, 9990], 'auto');
    expect(runs.map((run) => run.indices)).toEqual([[0], [5000, 5050, 5100], [9990]]);
  });

  test('seeks to a little after the frame, counted from where the container starts', () => {
    const index = {
      ptsSeconds: Float64Array.of(0, 0.04, 0.08, 0.2),
      containerSeconds: Float64Array.of(1.44, 1.48, 1.52, 1.64),
    };
    const clip = { index, startSeconds: 1.4 } as unknown as Parameters<typeof seekTime>[0];
    // A quarter of the gap of 0.12 seconds after 1.52, and of 0.04 seconds after 1.44.
    expect(seekTime(clip, 2)).toBeCloseTo(0.15, 5);
    expect(seekTime(clip, 0)).toBeCloseTo(0.05, 5);
  });

  test('does as it is told', () => {
    expect(planRuns(video, every(20), 'seek')).toHaveLength(500);
    expect(planRuns(video, [0, 9000], 'pass')).toEqual([{ indices: [0, 9000], seek: false, decoded: 9001 }]);
  });

  test('never seeks where seeking cannot be relied upon', () => {
    const runs = planRuns({ ...video, seeking: 'none' }, [0, 9000], 'seek');
    expect(runs).toEqual([{ indices: [0, 9000], seek: false, decoded: 9001 }]);
  });

  test('begins anew where the clock of the container does', () => {
    const index = { ...video.index, parts: Uint32Array.of(0, 5000) };
    const runs = planRuns({ ...video, index }, every(20), 'pass');
    expect(runs.map(({ indices, seek }) => [indices.length, indices[0], seek])).toEqual([
      [250, 0, false],
      [250, 5000, true],
    ]);
  });

  test('makes several runs in a process, shares their work out to the cores, and holds few frames', () => {
    const frameBytes = 1280 * 720 * 3;
    const plan = (starts: readonly number[], bytes = frameBytes) =>
      planProcesses(planRuns(video, starts, 'seek'), bytes, 2).map((batch) =>
        batch.map(({ runs, holds }) => [runs.map((run) => run.indices[0]), holds]),
      );
    expect(plan([0, 250, 500, 750, 1000])).toEqual([
      [
        [[0, 500, 1000], true],
        [[250, 750], true],
      ],
    ]);
    // 100 frames are decoded for the second, and one for each of the others.
    expect(plan([0, 349, 500, 750])).toEqual([
      [
        [[349], true],
        [[0, 500, 750], true],
      ],
    ]);
    expect(plan(every(500)).map((batch) => batch.length)).toEqual([2, 2]);
    // A frame of 107 MB: two are above 128 MiB.
    expect(plan([0, 250], 8192 * 4352 * 3)).toEqual([[[[0], true]], [[[250], true]]]);
  });

  test('gives a long run a process of its own, which waits for its reader', () => {
    const long = { indices: every(20).slice(0, 60), seek: true, decoded: 1181 };
    const short = { indices: [9000], seek: true, decoded: 1 };
    expect(planProcesses([long, short], 1280 * 720 * 3, 2)).toEqual([
      [{ runs: [long], holds: false }],
      [{ runs: [short], holds: true }],
    ]);
  });

  test('keeps each command line short', () => {
    const runs = planRuns(video, every(1), 'auto');
    expect(runs.flatMap((run) => run.indices)).toEqual(every(1));
    for (const run of runs) {
      const ranges = run.indices.map((i) => [i * 40_000_000_000, i * 40_000_000_000 + 1] as const);
      expect(selectExpression(ranges).length).toBeLessThan(2 ** 17);
    }
  });
});
