import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { decodeFrames } from '../src/media/decode.js';
import { followLog, type LoggedFrame } from '../src/media/decoder-log.js';
import { useDecoder } from '../src/media/ffmpeg.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import { h264, temporaryFolder } from './media.js';
import { encodeNumbered, numberOf } from './numbered.js';

const folder = temporaryFolder();
afterAll(() => useDecoder({ ffmpeg: 'ffmpeg' }));

const frame = (n: number) =>
  `n: ${String(n).padStart(3)} pts:${n * 40_000} pts_time:${n / 25}    pos:     5076 fmt:yuv420p sar:1/1 s:160x120 i:P iskey:0 type:P `;
const show = (stretch: number) => `[showinfo@s${stretch} @ 0x55ead97f3e80] [info] `;
const corrupt = '[mpegts @ 0x55b22858dec0] [warning] Packet corrupt (stream = 0, dts = 194400)';
const undecodable = 'Error while decoding stream #0:0: Invalid data found when processing input';

function follow(...lines: string[]) {
  const frames: LoggedFrame[] = [];
  const hear = followLog((frame) => frames.push(frame));
  const kept = lines.filter(hear);
  return {
    frames: frames.map(({ stretch, micros }) => [stretch, micros]),
    said: frames.map((f) => f.said),
    kept,
  };
}

// Lines of ffmpeg 5.1 and 9.0 whose threads wrote at the same time.
test.each([
  ['a line of its own', [show(1) + frame(7)], [[1, 280_000]]],
  ['another message behind it', [`${show(0)}${frame(7)}${corrupt.slice(39)}.`], [[0, 280_000]]],
  [
    'half a message before it',
    [corrupt + frame(7), '[mpegts @ 0x55b22858dec0] [warning] .'],
    [[null, 280_000]],
  ],
  [
    'another frame before it',
    [show(1) + frame(3) + frame(7), ''],
    [
      [1, 120_000],
      [null, 280_000],
    ],
  ],
  ['half a message of another filter', [`${show(1)}User Data=78323634202d${frame(0)}`], [[null, 0]]],
])('a frame is heard of in %s', (_, lines, frames) => {
  expect(follow(...lines).frames).toEqual(frames);
});

test('what the decoder says in the line of a frame counts for the next one', () => {
  const line = `${show(0)}${frame(1)}${undecodable}`;
  const { said } = follow(show(0) + frame(0), line, show(0) + frame(2));
  expect(said.map(({ lost }) => lost)).toEqual([false, false, true]);
});

test('only complaints are kept for people', () => {
  const complaint = '[h264 @ 0x55b2] [error] Invalid NAL unit size';
  expect(follow(show(0) + frame(0), corrupt, complaint, complaint + frame(1)).kept).toEqual([
    complaint,
    complaint + frame(1),
  ]);
});

test.each(['seek', 'pass'] as const)(
  'no frame is taken for another where half messages stand before some (%s)',
  async (strategy) => {
    const [clip, program] = [join(folder, 'clip.mp4'), join(folder, 'ffmpeg-of-many-threads')];
    await encodeNumbered([...h264(10), clip]);
    const garble = String.raw`s/^\[showinfo@s[0-9]* @ [^]]*\] \[info\] n: *2 /${corrupt.replaceAll('[', '\\[')}n:   2 /`;
    await writeFile(program, `#!/bin/bash\nffmpeg "$@" 2> >(sed -u '${garble}' >&2)\n`);
    await chmod(program, 0o755);
    useDecoder({ ffmpeg: program });
    const video = await openVideo(clip, defaultLimits);
    const wanted = [1, 2, 5, 14, 15, 27, 33, 48];
    const seen: number[] = [];
    const damaged: number[] = [];
    const options = {
      timeoutMs: 60_000,
      strategy,
      onDamage: (seconds: number) => void damaged.push(seconds),
    };
    for await (const frame of decodeFrames(video, wanted, options)) seen.push(numberOf(frame));
    expect(seen).toEqual(wanted);
    expect(damaged).toEqual([]);
  },
);
