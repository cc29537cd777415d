import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CELL_VALUES, CELLS, type FrameCells } from '../src/media/cells.js';
import { decodeFrames } from '../src/media/decode.js';
import { defaultLimits, openVideo } from '../src/media/open.js';
import { scanFrames } from '../src/media/scan.js';
import { answerVideo } from '../src/pipeline/answer.js';
import { findEvents, measureChange, measureSurprise } from '../src/pipeline/change.js';
import { chooseFrames } from '../src/pipeline/choose.js';
import { howToLook } from '../src/pipeline/look.js';
import { changeFile } from '../src/sources/changes.js';
import { fakeModel } from './fake-model.js';
import { ffmpeg, h264, publishedClip, temporaryFolder, testPattern } from './media.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const options = { timeoutMs: 60_000 };
const four = { frames: 4 };

/** Frames at ten a second of one grey each. */
async function changeOf(...greys: number[]): Promise<{ change: number[]; events: number[] }> {
  const ptsSeconds = greys.map((_, i) => i / 10);
  async function* frames(): AsyncGenerator<FrameCells> {
    for (const [index, grey] of greys.entries())
      yield { index, cells: new Uint8Array(CELL_VALUES).fill(grey) };
  }
  const change = await measureChange(frames(), ptsSeconds);
  return { change: [...change], events: findEvents(change, ptsSeconds) };
}

describe('how much changes at a frame', () => {
  it('is the difference of the means over 0.2 seconds on both sides', async () => {
    // At the second 100: (0 + 0) / 2 before, (100 + 100) / 2 after; beside it half of that.
    const { change } = await changeOf(0, 0, 0, 0, 100, 100, 100, 100, 100);
    expect(change).toEqual([0, 0, 0, 50, 100, 50, 0, 0, 0]);
  });

  it('does not count what goes on all the time', async () => {
    const { change, events } = await changeOf(...Array.from({ length: 100 }, (_, i) => (i * 20) % 240));
    expect(change.filter((value) => value > 0).length).toBeLessThan(50);
    const still = await changeOf(...Array(60).fill(90));
    expect([still.events, events.length > 0]).toEqual([[], true]);
  });

  it('is known across a gap: a frame is on display until the next', async () => {
    const ptsSeconds = [0, 10, 20];
    async function* frames(): AsyncGenerator<FrameCells> {
      for (const [index, grey] of [10, 10, 200].entries())
        yield { index, cells: new Uint8Array(CELL_VALUES).fill(grey) };
    }
    const change = await measureChange(frames(), ptsSeconds);
    expect([...change]).toEqual([0, 0, 190]);
  });
});

describe('how surprising a packet is', () => {
  it('is how much larger it is than those around it, keyframes aside', () => {
    const ptsSeconds = Array.from({ length: 100 }, (_, i) => i / 10);
    const sizes = ptsSeconds.map((_, i) => (i === 40 ? 300 : i === 50 ? 900 : 100));
    const surprise = measureSurprise(sizes, [0, 50], ptsSeconds);
    // Three times the usual size: twice more.
    expect([...surprise].map((one, i) => [i, one]).filter(([, one]) => one! > 0)).toEqual([[40, 80]]);
    expect(
      Math.max(
        ...measureSurprise(
          sizes.map(() => Number.NaN),
          [0],
          ptsSeconds,
        ),
      ),
    ).toBe(0);
  });
});

describe('events', () => {
  it('come with the largest first, at least a quarter of a second apart, and never from noise', async () => {
    const { events } = await changeOf(
      ...[0, 0, 0, 200, 200, 200, 200, 200, 200, 100, 100, 100, 111, 111, 111],
    );
    expect(events).toEqual([3, 9]);
  });

  it('that are about as large come spread over the time', () => {
    const change = new Float32Array(100);
    for (let i = 0; i < 12; i++) change[8 * i + 3] = 100 + (i % 3);
    change[50] = 200;
    const pts = Array.from(change, (_, i) => i);
    expect(findEvents(change, pts).slice(0, 5)).toEqual([50, 3, 67, 35, 19]);
  });

  it('are apart, and ordered by their change, whatever the change', () => {
    const changes = fc.array(fc.float({ min: 0, max: 255, noNaN: true }), { minLength: 1, maxLength: 200 });
    fc.assert(
      fc.property(changes, fc.integer({ min: 1, max: 60 }), (values, fps) => {
        const change = Float32Array.from(values);
        const pts = values.map((_, i) => i / fps);
        const events = findEvents(change, pts);
        for (const [k, event] of events.entries()) {
          // Of about as large ones the order is another.
          if (k > 0) expect(change[event]!).toBeLessThanOrEqual(change[events[k - 1]!]! + 16);
          for (const other of events.slice(0, k))
            expect(Math.abs(pts[event]! - pts[other]!)).toBeGreaterThan(0.2499);
        }
      }),
    );
  });
});

describe('frames with events', () => {
  const timeline = { ptsSeconds: Array.from({ length: 101 }, (_, i) => i / 10), displayedSeconds: 10.1 };

  it('are half evenly spread, half events', () => {
    // linspace(0, 100, 4) = 0, 33, 66, 100.
    expect(chooseFrames(timeline, {}, 8, [71, 12, 50, 90, 44])).toEqual([0, 12, 33, 50, 66, 71, 90, 100]);
  });

  it('are spread evenly where nothing happens, and by one more for each event too few', () => {
    expect(chooseFrames(timeline, {}, 5, [])).toEqual([0, 25, 50, 75, 100]);
    // linspace(0, 100, 4), and one event.
    expect(chooseFrames(timeline, {}, 5, [10])).toEqual([0, 10, 33, 66, 100]);
    // The only event is the last frame: it is taken once.
    expect(chooseFrames(timeline, {}, 5, [100])).toEqual([0, 25, 50, 75, 100]);
  });

  it('of a film with many cuts leave out nothing for long: half of them stay evenly spread', () => {
    // A cut every 0.7 seconds in the first half, none in the second.
    const cuts = Array.from({ length: 7 }, (_, i) => 7 * i + 3);
    const chosen = chooseFrames(timeline, {}, 12, cuts);
    const even = chooseFrames(timeline, {}, 6, []);
    expect(chosen).toEqual(expect.arrayContaining(even));
    const gaps = chosen.slice(1).map((index, i) => index - chosen[i]!);
    expect(Math.max(...gaps)).toBe(20);
    expect(chosen.filter((index) => cuts.includes(index))).toHaveLength(6);
  });

  it('keep to the range, and to the rate', () => {
    const sampling = { startSeconds: 5, endSeconds: 6 };
    expect(chooseFrames(timeline, sampling, 4, [12, 58, 51])).toEqual([50, 51, 58, 60]);
    expect(chooseFrames(timeline, { fps: 0.2 }, 4, [12, 58])).toEqual([0, 50, 100]);
  });

  it('are as many as without, ascending, each once', () => {
    const event = fc.integer({ min: 0, max: 100 });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 110 }), fc.uniqueArray(event), (frames, events) => {
        const chosen = chooseFrames(timeline, { frames }, 8, events);
        expect(chosen).toEqual([...new Set(chosen)].sort((a, b) => a - b));
        expect(chosen.length).toBe(Math.min(frames, 101));
      }),
    );
  });
});

describe('a scan', () => {
  it('has the mean of each cell of every frame, or of the keyframes', async () => {
    await ffmpeg(...testPattern(160, 96, 10, 2), ...h264(5), at('clip.mp4'));
    const video = await openVideo(at('clip.mp4'), defaultLimits);
    const scanned: FrameCells[] = [];
    for await (const frame of scanFrames(video, [0, 19], options)) scanned.push(frame);
    expect(scanned.map(({ index }) => index)).toEqual([...Array(20).keys()]);
    let k = 0;
    for await (const { rgb } of decodeFrames(video, [0, 7, 19], options)) {
      const { cells } = scanned[[0, 7, 19][k++]!]!;
      // A cell of 10 × 6 pixels: rows 6 to 11, columns 20 to 29.
      for (const colour of [0, 1, 2]) {
        let sum = 0;
        for (let y = 6; y < 12; y++) for (let x = 20; x < 30; x++) sum += rgb[(y * 160 + x) * 3 + colour]!;
        expect(Math.abs(cells[(CELLS + 2) * 3 + colour]! - sum / 60)).toBeLessThan(10);
      }
    }
    const keys: number[] = [];
    for await (const { index } of scanFrames(video, [0, 19], { ...options, keyframes: true }))
      keys.push(index);
    expect(keys).toEqual([0, 5, 10, 15]);
    const part: number[] = [];
    for await (const { index } of scanFrames(video, [7, 12], options)) part.push(index);
    expect(part).toEqual([7, 8, 9, 10, 11, 12]);
  });

  it('goes through joined parts', async () => {
    await ffmpeg(...testPattern(64, 64, 10, 1), ...h264(5), at('one.ts'));
    execFileSync('sh', ['-c', 'cat one.ts one.ts > joined.ts'], { cwd: folder });
    const video = await openVideo(at('joined.ts'), defaultLimits);
    const seen: number[] = [];
    for await (const { index } of scanFrames(video, [0, 19], options)) seen.push(index);
    expect(seen).toEqual([...Array(20).keys()]);
  });

  it('ends with its reader and with the signal', async () => {
    const video = await openVideo(at('clip.mp4'), defaultLimits);
    const controller = new AbortController();
    const scanning = (async () => {
      for await (const _ of scanFrames(video, [0, 19], { ...options, signal: controller.signal })) {
        controller.abort(new Error('enough'));
      }
    })();
    await expect(scanning).rejects.toThrow('enough');
  });
});

/** Grey for ten seconds, but for a third of a second of red from 6.2 on. */
async function makeFlash(): Promise<void> {
  const flash = "drawbox=0:0:iw:ih:red:fill:enable='between(t,6.2,6.5)'";
  const grey = ['-f', 'lavfi', '-i', 'color=gray:size=64x64:rate=10:duration=10'];
  await ffmpeg(...grey, '-vf', flash, ...h264(50), at('flash.mp4'));
}

describe('answering', () => {
  const request = { video: at('flash.mp4'), questions: ['What?'] };
  const isRed = (seconds: number) => seconds >= 6.2 && seconds <= 6.5;

  it('looks where something happens, and says how many of its frames show that', async () => {
    await makeFlash();
    const auto = await answerVideo(fakeModel(['red']), request);
    expect(auto.frames.some(({ ptsSeconds }) => isRed(ptsSeconds))).toBe(true);
    expect([auto.plan.frames, auto.plan.events, auto.timings.chooseMs > 0]).toEqual([4, 2, true]);
    const uniform = await answerVideo(fakeModel(['red']), { ...request, sampling: { method: 'uniform' } });
    expect(uniform.frames.map(({ ptsSeconds }) => ptsSeconds)).toEqual([0, 3.3, 6.6, 9.9]);
    expect([uniform.plan.events, uniform.timings.chooseMs]).toEqual([0, 0]);
  });

  it('finds by the sizes of packets alone what happens between keyframes', async () => {
    const pattern = ['-f', 'lavfi', '-i', 'testsrc=size=128x128:rate=10:duration=10'];
    const flash = "drawgrid=w=8:h=8:t=3:color=red:enable='between(t,6.2,6.5)'";
    await ffmpeg(...pattern, '-vf', flash, ...h264(100), '-sc_threshold', '0', at('pattern.mp4'));
    const sampling = { method: 'fast' as const };
    const { frames } = await answerVideo(fakeModel(['red']), {
      ...request,
      video: at('pattern.mp4'),
      sampling,
    });
    expect(frames.some(({ ptsSeconds }) => isRed(ptsSeconds))).toBe(true);
  });

  it('keeps what it found, and does not look again', async () => {
    const kept = mkdtempSync(join(tmpdir(), 'visionzip-changes-'));
    const changes = changeFile(join(kept, 'digest'));
    const first = await answerVideo(fakeModel(['red']), request, { changes });
    expect(readdirSync(kept)).toEqual(['digest']);
    const stages: string[] = [];
    const onProgress = ({ stage }: { stage: string }) => void stages.push(stage);
    const again = await answerVideo(fakeModel(['red']), request, { changes, onProgress });
    expect(again.frames).toEqual(first.frames);
    expect(stages).not.toContain('choose');
    rmSync(kept, { recursive: true });
    expect(await changes.read()).toBeNull();
  });

  it('keeps nothing of a scan that did not reach the end', async () => {
    await ffmpeg(...testPattern(64, 64, 10, 2), '-c:v', 'mjpeg', at('sound.mkv'));
    const bytes = readFileSync(at('sound.mkv'));
    bytes.fill(0, bytes.lastIndexOf('ffd8ff', 'hex'), bytes.lastIndexOf('ffd9', 'hex')); // The last frame.
    writeFileSync(at('broken.mkv'), bytes);
    const written: number[] = [];
    const changes = {
      read: async () => null,
      write: async (change: Float32Array) => void written.push(change.length),
    };
    for (const name of ['sound.mkv', 'broken.mkv']) {
      await answerVideo(fakeModel(['red']), { ...request, video: at(name) }, { changes });
    }
    expect(written).toEqual([20]);
  });

  it('finds the same in a part, whether the whole was looked at before or not', async () => {
    await ffmpeg(...testPattern(64, 64, 10, 30), ...h264(50), at('long.mp4'));
    const video = await openVideo(at('long.mp4'), defaultLimits);
    const { ptsSeconds } = video.index;
    const last = ptsSeconds.length - 1;
    const whole = await measureChange(scanFrames(video, [0, last], options), ptsSeconds);
    const part = howToLook(video, { startSeconds: 14, endSeconds: 16 }, four, 60_000)!;
    expect([part.first, part.last]).toEqual([70, 230]);
    const change = await measureChange(scanFrames(video, [part.first, part.last], options), ptsSeconds);
    expect(Math.max(...whole.slice(140, 161))).toBeGreaterThan(0);
    expect(change.slice(140, 161)).toEqual(whole.slice(140, 161));
  });

  it('makes do with keyframes where the time for decoding would not suffice', async () => {
    const video = await openVideo(at('flash.mp4'), defaultLimits);
    expect(howToLook(video, {}, four, 60_000)).toEqual({ first: 0, last: 99, keyframes: false });
    expect(howToLook(video, {}, four, 1)).toEqual({ first: 0, last: 99, keyframes: true });
    expect(howToLook(video, { method: 'fast' }, four, 60_000)?.keyframes).toBe(true);
    // Within seven seconds of the range, and no further.
    expect(howToLook(video, { startSeconds: 8, endSeconds: 9 }, four, 60_000)).toMatchObject({ first: 10 });
    for (const sampling of [{ fps: 1 }, { method: 'uniform' as const }, { frames: 100 }]) {
      expect(howToLook(video, sampling, four, 60_000)).toBeNull();
    }
  });
});

describe('a cut in a published clip', () => {
  const nasa = publishedClip('nasa_13013.mp4');

  it.skipIf(nasa === null)('is where most changes', async () => {
    const video = await openVideo(nasa!, defaultLimits);
    const { ptsSeconds } = video.index;
    const last = ptsSeconds.length - 1;
    const [event] = findEvents(
      await measureChange(scanFrames(video, [0, last], options), ptsSeconds),
      ptsSeconds,
    );
    // By ffmpeg's scene filter, the only one above 0.25.
    expect(Math.abs(ptsSeconds[event!]! - 8.008)).toBeLessThan(0.1);
  });
});
