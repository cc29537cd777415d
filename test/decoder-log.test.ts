import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { decodeFrames } from '../src/media/decode.js';
import type { DecodeStrategy } from '../src/media/decode-plan.js';
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

/** Plain ffmpeg, whose error output goes through a filter. */
async function useFiltered(name: string, filter: string, version = '5.1'): Promise<void> {
  const program = join(folder, name);
  const isTrial = `case "$*" in *rawvideo*null*) echo "ffmpeg version ${version}" >&2;; esac`;
  const script = `${isTrial}\nffmpeg "$@" 2>&1 | ${filter} >&2\nexit \${PIPESTATUS[0]}\n`;
  await writeFile(program, `#!/bin/bash\n${script}`);
  await chmod(program, 0o755);
  useDecoder({ ffmpeg: program });
}

async function look(file: string, indices?: readonly number[], strategy?: DecodeStrategy) {
  const video = await openVideo(file, defaultLimits);
  const damaged: number[] = [];
  const onDamage = (seconds: number) => void damaged.push(Math.round(seconds * 25));
  const options = { timeoutMs: 60_000, strategy, onDamage };
  const numbers: number[] = [];
  for await (const frame of decodeFrames(video, indices ?? [...video.ptsSeconds.keys()], options))
    numbers.push(numberOf(frame));
  return { numbers, damaged };
}

test.each(['seek', 'pass'] as const)(
  'no frame is taken for another where half messages stand before some (%s)',
  async (strategy) => {
    const clip = join(folder, 'clip.mp4');
    await encodeNumbered([...h264(10), clip]);
    const half = corrupt.replaceAll('[', '\\[');
    await useFiltered(
      'ffmpeg-of-many-threads',
      String.raw`sed -u 's/^\[showinfo@s[0-9]* @ [^]]*\] \[info\] n: *2 /${half}n:   2 /'`,
    );
    const wanted = [1, 2, 5, 14, 15, 27, 33, 48];
    expect(await look(clip, wanted, strategy)).toEqual({ numbers: wanted, damaged: [] });
  },
);

test('damage is not taken for that of frames before a keyframe where the decoder runs ahead of what is told of frames', async () => {
  const clip = join(folder, 'damaged.mp4');
  await encodeNumbered([...h264(12), clip], { count: 60 });
  await damage(clip, 26);
  useDecoder({ ffmpeg: 'ffmpeg' });
  const told = (await look(clip)).damaged;
  expect(told).toContain(27);
  const delay = [
    'while IFS= read -r line; do',
    '  if [[ $line == *"] n:"*" pts:"* ]]; then',
    '    late+=("$line")',
    `    (( \${#late[@]} > 8 )) || continue`,
    `    line=\${late[0]}; late=("\${late[@]:1}")`,
    '  fi',
    '  echo "$line"',
    'done',
    `printf '%s\\n' "\${late[@]}"`,
  ];
  await useFiltered('ffmpeg-that-runs-ahead', `(${delay.join('\n')})`, '7.0');
  expect((await look(clip)).damaged).toEqual(expect.arrayContaining(told));
});

/** Overwrites the middle of a frame's bytes. */
async function damage(file: string, index: number): Promise<void> {
  const {
    index: { bytes, sizes },
  } = await openVideo(file, defaultLimits);
  const data = await readFile(file);
  data.fill(0xff, bytes[index]! + 20, bytes[index]! + sizes[index]!);
  await writeFile(file, data);
}
