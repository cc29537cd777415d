import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it, vi } from 'vitest';
import {
  askAll,
  type Clip,
  type ClipQuestion,
  COLOUR_NAMES,
  COLOURS,
  centreAt,
  clipSeed,
  createRandom,
  createRenderer,
  DIRECTIONS,
  generateClip,
  isSeen,
  observe,
  type QuestionKind,
  type Scene,
  type SceneObject,
  SHAPES,
  sampleScene,
} from '../scripts/clips/index.js';

const clips: Clip[] = Array.from({ length: 600 }, (_, i) => generateClip(clipSeed(5, i)));

const withExtras: Clip[] = Array.from({ length: 2000 }, (_, i) =>
  generateClip(clipSeed(7, i), { with: ['when', 'flash'] }),
);

const GREY = [50, 50, 50] as const;

/** A scene of one second with these objects on an even background; what is not said is a red circle in the middle. */
function sceneOf(objects: Partial<SceneObject>[], frameCount = 11): Scene {
  return {
    seed: 'made',
    size: 192,
    fps: 10,
    frameCount,
    crf: 20,
    background: {
      pattern: 'clouds',
      from: GREY,
      to: GREY,
      scale: 0.2,
      angleRadians: 0,
      drift: { x: 0, y: 0 },
      grain: 0,
    },
    objects: objects.map((object) => ({
      first: 0,
      end: frameCount,
      shape: 'circle',
      colour: 'red',
      rgb: COLOURS.red,
      radius: 0.15,
      rotationRadians: 0,
      spinRadians: 0,
      start: { x: 0.5, y: 0.5 },
      finish: { x: 0.5, y: 0.5 },
      direction: undefined,
      ...object,
    })),
    flash: undefined,
  };
}

function allFrames({ frameCount }: Scene): number[] {
  return Array.from({ length: frameCount }, (_, i) => i);
}

function questionsOn(scene: Scene, frames = allFrames(scene), seed = 'any'): ClipQuestion[] {
  const times = frames.map((frame) => frame / scene.fps);
  return askAll(observe(scene, frames, times), createRandom(seed));
}

/** The question with its objects left out. */
function wordingOf(question: string): string {
  const names = `(?:(?:${COLOUR_NAMES.join('|')}) )?(?:${SHAPES.join('|')}|object)`;
  return question.replace(new RegExp(`\\b(?:an?|the) ${names}\\b`, 'gi'), '…');
}

function possibleAnswers({ kind, question }: ClipQuestion): readonly string[] {
  if (kind === 'shape') return SHAPES;
  if (kind === 'count') return ['1', '2', '3', '4'];
  if (kind === 'presence') return ['yes', 'no'];
  if (kind === 'direction') return DIRECTIONS;
  if (kind === 'place') return ['left', 'right', 'above', 'below'];
  if (kind === 'order' && question.includes('before or after')) return ['before', 'after'];
  return COLOUR_NAMES;
}

/** By number of answers: what chi-square exceeds once in 10,000 times where all answers are equally likely. */
const CHI_SQUARE: Record<number, number> = { 2: 15.1, 4: 21.1, 5: 23.5, 7: 27.9 };

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/** Share of the square around the object (side 2 × radius) that it covers. */
function coveredShare(object: Partial<SceneObject>): number {
  const covered = createRenderer(sceneOf([object]))
    .objectMap(0)
    .filter((label) => label > 0).length;
  return covered / (2 * 0.15 * 192) ** 2;
}

describe('random numbers', () => {
  it('repeat for one seed, differ for another, and spread evenly', () => {
    const draw = (seed: string): number[] => {
      const random = createRandom(seed);
      return Array.from({ length: 4000 }, () => random.next());
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a').slice(0, 4)).not.toEqual(draw('b').slice(0, 4));
    const mean = draw('a').reduce((sum, x) => sum + x, 0) / 4000;
    expect(mean).toBeGreaterThan(0.48);
    expect(mean).toBeLessThan(0.52);
  });
});

describe('scenes', () => {
  it('hold 1 to 4 objects of different colours, one of which moves', () => {
    for (const { scene } of clips) {
      expect(scene.objects.length).toBeGreaterThanOrEqual(1);
      expect(scene.objects.length).toBeLessThanOrEqual(4);
      expect(new Set(scene.objects.map((object) => object.colour)).size).toBe(scene.objects.length);
      expect(scene.objects.some((object) => object.direction)).toBe(true);
      expect(scene.flash).toBeUndefined();
    }
  });

  it('last 2 to 20 seconds, or as long as asked', () => {
    const lengths = clips.map(({ scene }) => scene.frameCount / scene.fps);
    expect(Math.min(...lengths)).toBeGreaterThanOrEqual(1.9);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(20.1);
    expect(lengths.filter((seconds) => seconds > 6.32).length / lengths.length).toBeCloseTo(0.5, 1);
    const { scene } = generateClip('long', { seconds: [60, 61] });
    expect(scene.frameCount / scene.fps).toBeGreaterThanOrEqual(60);
  });

  it('are small objects on much background: on average under a tenth of the frame', () => {
    const shares = clips.slice(0, 60).map(({ scene }) => {
      const map = createRenderer(scene).objectMap(Math.floor(scene.frameCount / 2));
      return map.filter((label) => label > 0).length / map.length;
    });
    expect(shares.reduce((sum, share) => sum + share, 0) / shares.length).toBeLessThan(0.1);
  });

  it('keep objects inside the frame, and none far behind another', () => {
    for (const { scene } of clips.slice(0, 150)) {
      const checked = Array.from({ length: 16 }, (_, i) => Math.round((i * (scene.frameCount - 1)) / 15));
      for (const frame of allFrames(scene)) {
        const least = checked.includes(frame) ? 0.75 : 0.5;
        const seen = scene.objects.filter((object) => isSeen(object, frame));
        seen.forEach((object, i) => {
          const { x, y } = centreAt(object, frame, scene.frameCount);
          expect(Math.min(x, y, 1 - x, 1 - y)).toBeGreaterThan(object.radius);
          for (const other of seen.slice(i + 1)) {
            const there = centreAt(other, frame, scene.frameCount);
            const distance = Math.hypot(x - there.x, y - there.y);
            expect(distance).toBeGreaterThanOrEqual((object.radius + other.radius) * least);
          }
        });
      }
    }
  });

  it('let what happens be told apart in eight frames, and everything be seen in one of them', () => {
    for (const { scene } of clips) {
      const frames = Array.from({ length: 8 }, (_, i) => Math.floor((i * (scene.frameCount - 1)) / 7));
      const seen = observe(scene, frames, frames);
      expect(seen.tracks.length).toBe(scene.objects.length);
      const moments = seen.happenings.map(({ moment }) => moment);
      expect(new Set(moments).size).toBe(moments.length);
      expect(moments.length).toBe(
        scene.objects.filter(({ first, end }) => first > 0 || end < scene.frameCount).length,
      );
    }
  });

  it('have a flash of under a second where one is asked for', () => {
    for (let i = 0; i < 50; i++) {
      const { flash, fps, frameCount } = sampleScene(`flash/${i}`, { flashProbability: 1 });
      expect(flash!.end).toBeLessThanOrEqual(frameCount);
      expect((flash!.end - flash!.first) / fps).toBeGreaterThan(0.2);
      expect((flash!.end - flash!.first) / fps).toBeLessThan(0.9);
    }
  });

  it('have a flash of a colour that no object has', () => {
    for (const { scene } of withExtras)
      expect(scene.objects.map(({ colour }) => colour)).not.toContain(scene.flash!.colour);
  });

  it('differ from clip to clip, whatever the seed', () => {
    const seeds = Array.from({ length: 30 }, (_, seed) => seed - 15);
    const drawn = seeds.flatMap((seed) => seeds.map((_, i) => sampleScene(clipSeed(seed, i)).objects));
    expect(new Set(drawn.map((objects) => JSON.stringify(objects))).size).toBe(drawn.length);
  });
});

describe('frames', () => {
  it('are the same pixels for the same seed, and other pixels for another', () => {
    const pixels = (seed: string): Buffer => Buffer.concat([...generateClip(seed).frames()]);
    expect(pixels('one').equals(pixels('one'))).toBe(true);
    expect(pixels('one').equals(pixels('two'))).toBe(false);
  });

  it('show what is there, and nothing of what is not', () => {
    const scene = sceneOf([{ first: 3, end: 6 }]);
    const renderer = createRenderer(scene);
    const middle = (96 * 192 + 96) * 3;
    for (let frame = 0; frame < 11; frame++) {
      const seen = [...renderer.frame(frame).subarray(middle, middle + 3)];
      expect(seen, `frame ${frame}`).toEqual(frame >= 3 && frame < 6 ? [...COLOURS.red] : [...GREY]);
    }
  });

  it('show the flash above everything, only while it lasts', () => {
    const flash = {
      first: 4,
      end: 5,
      colour: 'blue',
      rgb: COLOURS.blue,
      radius: 0.1,
      centre: { x: 0.5, y: 0.5 },
    } as const;
    const renderer = createRenderer({ ...sceneOf([{}]), flash });
    const label = (frame: number) => renderer.objectMap(frame)[96 * 192 + 96];
    expect([label(3), label(4), label(5)]).toEqual([1, 2, 1]);
  });

  it('have a background that drifts and is noisy anew', () => {
    const even = sceneOf([]);
    const drifting = { ...even.background, to: [90, 90, 90] as const, drift: { x: 0.5, y: 0 } };
    const [before, after] = [0, 10].map((frame) =>
      createRenderer({ ...even, background: drifting }).frame(frame),
    ) as [Uint8Array, Uint8Array];
    // Half of the side in a second: what was at column 96 is at column 0.
    for (const row of [0, 50, 191]) expect(after[row * 192 * 3]).toBe(before[(row * 192 + 96) * 3]);
    const noisy = createRenderer({ ...even, background: { ...even.background, grain: 10 } });
    expect(noisy.frame(0)).not.toEqual(noisy.frame(1));
    expect(noisy.frame(1)).toEqual(noisy.frame(1));
  });

  it('draw each shape with its own area', () => {
    // circle: π/4; square of side 1.68 r: 1.68² / 4; ring from 0.52 r to r: π/4 × (1 − 0.52²).
    expect(coveredShare({ shape: 'circle' })).toBeCloseTo(0.785, 1);
    expect(coveredShare({ shape: 'square' })).toBeCloseTo(0.706, 1);
    expect(coveredShare({ shape: 'ring' })).toBeCloseTo(0.573, 1);
    // triangle with an inscribed circle of 0.62 r: 3√3 × 0.62² / 4.
    expect(coveredShare({ shape: 'triangle' })).toBeCloseTo(0.499, 1);
    // star: ten triangles of sides 1.18 r and 0.48 r with 36° between them: 5 × 1.18 × 0.48 × sin 36° / 4.
    expect(coveredShare({ shape: 'star' })).toBeCloseTo(0.416, 1);
  });

  it('have no number outside the clip', () => {
    const { scene } = generateClip('one');
    expect(() => createRenderer(scene).frame(scene.frameCount)).toThrow(RangeError);
  });
});

describe('questions', () => {
  const answersOf = (questions: readonly ClipQuestion[], kind: QuestionKind) =>
    questions.filter((q) => q.kind === kind).map((q) => q.answer);

  it('come one of each kind first, none twice, and neither `when` nor `flash` unless asked for', () => {
    for (const { scene, questions } of clips) {
      const kinds = questions.map(({ kind }) => kind);
      const different = new Set(kinds);
      expect(new Set(kinds.slice(0, different.size)).size).toBe(different.size);
      for (const kind of ['colour', 'shape', 'count', 'presence'] as const) expect(different).toContain(kind);
      expect(different).not.toContain('when');
      expect(different).not.toContain('flash');
      expect(questions.length).toBeLessThanOrEqual(8);
      expect(new Set(questions.map((q) => q.question)).size, scene.seed).toBe(questions.length);
    }
  });

  it('begin with the kinds asked for, however many other kinds there are', () => {
    for (const { scene, questions } of withExtras) {
      const happens = scene.objects.some(({ first, end }) => first > 0 || end < scene.frameCount);
      const wanted = happens ? ['flash', 'when'] : ['flash'];
      const kinds = questions.map(({ kind }) => kind);
      expect(kinds.slice(0, wanted.length).sort(), scene.seed).toEqual(wanted);
      const different = new Set(kinds);
      expect(new Set(kinds.slice(0, different.size)).size).toBe(different.size);
      expect(kinds.length).toBeLessThanOrEqual(8);
      expect(answersOf(questions, 'flash')).toEqual([scene.flash!.colour]);
    }
    const { questions } = generateClip('asked', { with: ['flash'], most: 1 });
    expect(questions.map(({ kind }) => kind)).toEqual(['flash']);
  });

  it('say what was there, of which colour, shape and number', () => {
    const scene = sceneOf([
      { start: { x: 0.2, y: 0.2 }, finish: { x: 0.2, y: 0.2 } },
      { colour: 'blue', shape: 'star', end: 5 },
    ]);
    const questions = questionsOn(scene);
    expect(answersOf(questions, 'count')).toEqual(['2']);
    expect(answersOf(questions, 'colour').sort()).toEqual(['blue', 'red']);
    expect(answersOf(questions, 'shape').sort()).toEqual(['circle', 'star']);
    expect(answersOf(questions, 'presence').sort()).toEqual(['no', 'yes']);
    const no = questions.find((q) => q.answer === 'no')!.question;
    expect(no).not.toMatch(/red circle|blue star/);
  });

  it('say where an object goes, also when the clip runs backwards', () => {
    const scene = sceneOf([{ direction: 'left', start: { x: 0.8, y: 0.5 }, finish: { x: 0.3, y: 0.5 } }]);
    expect(answersOf(questionsOn(scene), 'direction')).toEqual(['left']);
    expect(answersOf(questionsOn(scene, [10, 7, 4, 0]), 'direction')).toEqual(['right']);
    // 0.05 of the side is too short a way to ask about.
    expect(answersOf(questionsOn(scene, [0, 1]), 'direction')).toEqual([]);
  });

  it('say on which side of one object another is, where it stays there', () => {
    const blueStar = {
      colour: 'blue',
      shape: 'star',
      start: { x: 0.6, y: 0.5 },
      finish: { x: 0.6, y: 0.6 },
    } as const;
    const left = sceneOf([{ start: { x: 0.2, y: 0.5 }, finish: { x: 0.2, y: 0.6 } }, blueStar]);
    const places = questionsOn(left).filter(({ kind }) => kind === 'place');
    expect(places).toHaveLength(1);
    for (const { question, answer } of places) {
      const redFirst = /red|circle/.exec(question)!.index < /blue|star\b/.exec(question)!.index;
      // "on which side of the star is the circle" names the other one first.
      const asksForRed = question.startsWith('On which side') ? !redFirst : redFirst;
      expect(answer, question).toBe(asksForRed ? 'left' : 'right');
    }
    // It goes from the left of the star to above it.
    const moving = sceneOf([{ start: { x: 0.2, y: 0.5 }, finish: { x: 0.6, y: 0.2 } }, blueStar]);
    expect(answersOf(questionsOn(moving), 'place')).toEqual([]);
  });

  it('say what happens first, and when', () => {
    const scene = sceneOf([
      { first: 3 },
      { colour: 'blue', shape: 'star', first: 7 },
      { colour: 'green', shape: 'ring', end: 5 },
    ]);
    const seeds = Array.from({ length: 20 }, (_, i) => String(i));
    const asked = seeds.map((seed) => questionsOn(scene, allFrames(scene), seed));
    // Two of the three pairs are compared; two objects appear, so one of them is first or last; one vanishes.
    for (const questions of asked) expect(answersOf(questions, 'order')).toHaveLength(3);
    const all = asked.flat().filter(({ kind }) => kind === 'order');
    expect(new Set(all.map(({ answer }) => answer))).toEqual(new Set(['before', 'after', 'red', 'blue']));
    for (const { question, answer } of all) {
      if (answer === 'before' || answer === 'after') {
        const [one, two] = [/red|circle/, /blue|star\b/, /green|ring/]
          .map((pattern, i) => ({ at: pattern.exec(question)?.index ?? -1, frame: [3, 7, 5][i]! }))
          .filter(({ at }) => at >= 0)
          .sort((a, b) => a.at - b.at);
        expect(answer, question).toBe(one!.frame < two!.frame ? 'before' : 'after');
      } else expect(answer, question).toBe(question.includes('first') ? 'red' : 'blue');
    }
    // Appears in frame 3 and 7; was last seen in frame 4; ten frames a second.
    for (const questions of asked)
      expect(answersOf(questions, 'when').sort()).toEqual(['0.3s', '0.4s', '0.7s']);
  });

  it('speak of a flash only when one was seen', () => {
    const flash = { first: 4, end: 6, colour: 'green', rgb: COLOURS.green, radius: 0.1 } as const;
    const scene = { ...sceneOf([{}]), flash: { ...flash, centre: { x: 0.3, y: 0.3 } } };
    expect(answersOf(questionsOn(scene), 'flash')).toEqual(['green']);
    expect(answersOf(questionsOn(scene, [0, 3, 6, 9]), 'flash')).toEqual(['none']);
  });

  it('have answers that are balanced within each kind and wording', () => {
    const usual = Array.from({ length: 4000 }, (_, i) => generateClip(clipSeed(6, i)).questions).flat();
    const flashes = withExtras.flatMap(({ questions }) => questions.filter(({ kind }) => kind === 'flash'));
    const asked = new Map<string, ClipQuestion[]>();
    for (const question of [...usual, ...flashes]) {
      const wording = wordingOf(question.question);
      if (!asked.has(wording)) asked.set(wording, []);
      asked.get(wording)!.push(question);
    }
    const wordings = {
      colour: 4,
      shape: 4,
      count: 4,
      presence: 4,
      direction: 4,
      place: 4,
      order: 16,
      flash: 4,
    };
    expect(tally([...asked.values()].map(([first]) => first!.kind))).toEqual(wordings);
    for (const [wording, questions] of asked) {
      const possible = possibleAnswers(questions[0]!);
      const counts = tally(questions.map(({ answer }) => answer));
      expect(possible, wording).toEqual(expect.arrayContaining(Object.keys(counts)));
      const even = questions.length / possible.length;
      const chiSquare = possible.reduce((sum, answer) => sum + ((counts[answer] ?? 0) - even) ** 2 / even, 0);
      expect(chiSquare, `${wording} ${JSON.stringify(counts)}`).toBeLessThan(CHI_SQUARE[possible.length]!);
    }
  });
});

describe('the commands', () => {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-clips-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const scripts = new URL('../dist/scripts/', import.meta.url);
  const runScript = (name: string, args: readonly string[]) =>
    spawnSync(process.execPath, [fileURLToPath(new URL(`${name}.js`, scripts)), ...args], {
      encoding: 'utf8',
    });
  const run = (...args: string[]) => runScript('clips', args);

  it('clips writes the same bytes for the same seed: H.264 clips and their questions', () => {
    for (const name of ['a', 'b'])
      expect(run('--seed', '3', '--count', '2', '--out', join(folder, name)).status).toBe(0);
    const files = readdirSync(join(folder, 'a')).sort();
    expect(files).toEqual(['clip-000.mp4', 'clip-001.mp4', 'questions.jsonl']);
    for (const file of files)
      expect(readFileSync(join(folder, 'a', file)).equals(readFileSync(join(folder, 'b', file))), file).toBe(
        true,
      );

    const probe = spawnSync('ffprobe', [
      '-v',
      'error',
      '-of',
      'json',
      '-show_streams',
      join(folder, 'a/clip-001.mp4'),
    ]);
    const { scene, questions } = generateClip(clipSeed(3, 1));
    expect(JSON.parse(probe.stdout.toString()).streams).toMatchObject([
      {
        codec_name: 'h264',
        pix_fmt: 'yuv420p',
        width: scene.size,
        height: scene.size,
        nb_frames: String(scene.frameCount),
      },
    ]);
    const rows = readFileSync(join(folder, 'a/questions.jsonl'), 'utf8').trim().split('\n');
    const ofSecond = rows.map((row) => JSON.parse(row)).filter((row) => row.video === 'clip-001.mp4');
    expect(ofSecond).toEqual(questions.map((q) => ({ video: 'clip-001.mp4', ...q })));
  });

  it('clips asks for more where told to, and says how far a time may be off', () => {
    const out = join(folder, 'more');
    expect(
      run('--seed', '9', '--count', '3', '--with', 'when,flash', '--seconds', '2-3', '--out', out).status,
    ).toBe(0);
    const rows = readFileSync(join(out, 'questions.jsonl'), 'utf8').trim().split('\n');
    const kinds = rows.map((row) => JSON.parse(row) as { kind: string; toleranceSeconds?: number });
    expect(kinds.filter(({ kind }) => kind === 'flash').length).toBe(3);
    for (const { kind, toleranceSeconds } of kinds)
      if (kind === 'when') expect(toleranceSeconds).toBeCloseTo(0.4, 0);
      else expect(toleranceSeconds).toBeUndefined();
  });

  it('clips says what is wrong with an argument', () => {
    expect(run('--count', 'many', '--out', folder).stderr).toContain('`--count`');
    expect(run('--seconds', '5', '--out', folder).stderr).toContain('`--seconds`');
    const tooShort = '`--seconds` must be a range within 2-3600 such as 2-20, got "1-3"';
    expect(run('--seconds', '1-3', '--out', folder)).toMatchObject({
      status: 2,
      stderr: expect.stringContaining(tooShort),
    });
    expect(run('--with', 'sound', '--out', folder).stderr).toContain('sound');
    expect(run('--count', '1')).toMatchObject({ status: 2, stderr: expect.stringContaining('`--out`') });
  });

  it('clips is stopped by the signal that was given to makeClips', async () => {
    const { makeClips } = await import(new URL('clip-files.js', scripts).href);
    const out = join(folder, 'stopped');
    const controller = new AbortController();
    const made = makeClips(0, 1000, out, { seconds: '2-2', signal: controller.signal });
    made.catch(() => {});
    await vi.waitFor(() => expect(existsSync(join(out, 'clip-000.mp4'))).toBe(true), 30_000);
    controller.abort();
    await expect(made).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('training-data writes what is true of each clip of a shard', () => {
    const out = join(folder, 'training');
    const args = ['--out', out, '--namespace', 'validate', '--first', '3', '--texts-only'];
    expect(runScript('training-data', args)).toMatchObject({ status: 0, stderr: '' });
    expect(readdirSync(out)).toEqual(['shard-0003.jsonl']);
    const rows = readFileSync(join(out, 'shard-0003.jsonl'), 'utf8').trim().split('\n');
    expect(rows.length).toBe(250);
    expect(JSON.parse(rows[7]!)).toMatchObject({ seed: 'validate/3/7', views: { length: 8 } });
  });

  it('training-data says what it takes, and what is wrong with an argument', () => {
    const out = join(folder, 'nothing');
    expect(runScript('training-data', ['--help'])).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('--shards N'),
    });
    for (const [args, message] of [
      [[], '`--out` must name the folder to write to'],
      [['--out', out, '--shards', 'x'], '`--shards` must be a whole number of at least 1, got "x"'],
      [['--out', out, '--frames', '1'], '`--frames` must be a whole number of at least 2, got "1"'],
      [['--out', out, '--namespace', 'clips'], '`--namespace` must be train or validate, got "clips"'],
      [['--out', out, '--shard', '1'], '--shard'],
    ] as const)
      expect(runScript('training-data', args)).toMatchObject({
        status: 2,
        stderr: expect.stringContaining(message),
      });
    expect(existsSync(out)).toBe(false);
  });
});
