import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import {
  type Clip,
  COLOUR_NAMES,
  COLOURS,
  centreAt,
  clipSeed,
  createRandom,
  createRenderer,
  DIRECTIONS,
  generateClip,
  QUESTION_KINDS,
  type QuestionKind,
  type Scene,
  type SceneObject,
  SHAPES,
  sampleQuestions,
} from '../src/clips/index.js';

const clips: Clip[] = Array.from({ length: 600 }, (_, i) => generateClip(clipSeed(5, i)));

/** A still scene with one object in the middle of an even background. */
function stillScene(object: Partial<SceneObject>): Scene {
  const grey = [50, 50, 50] as const;
  return {
    seed: 'still',
    size: 192,
    fps: 10,
    frameCount: 1,
    background: { pattern: 'clouds', from: grey, to: grey, scale: 0.2, angleRadians: 0, grain: 0 },
    objects: [
      {
        shape: 'circle',
        colour: 'red',
        rgb: COLOURS.red,
        radius: 0.15,
        rotationRadians: 0,
        start: { x: 0.5, y: 0.5 },
        end: { x: 0.5, y: 0.5 },
        direction: undefined,
        ...object,
      },
    ],
  };
}

/** Share of the square around the object (side 2 × radius) that it covers. */
function coveredShare(object: Partial<SceneObject>): number {
  const covered = createRenderer(stillScene(object))
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
    }
  });

  it('last 2 to 4 seconds', () => {
    for (const { scene } of clips) {
      expect(scene.frameCount / scene.fps).toBeGreaterThanOrEqual(1.9);
      expect(scene.frameCount / scene.fps).toBeLessThanOrEqual(4.1);
    }
  });

  it('keep objects inside the frame and apart from each other in every frame', () => {
    for (const { scene } of clips)
      for (let frame = 0; frame < scene.frameCount; frame++)
        scene.objects.forEach((object, i) => {
          const { x, y } = centreAt(object, frame, scene.frameCount);
          expect(Math.min(x, y, 1 - x, 1 - y)).toBeGreaterThan(object.radius);
          for (const other of scene.objects.slice(i + 1)) {
            const there = centreAt(other, frame, scene.frameCount);
            const distance = Math.hypot(x - there.x, y - there.y);
            expect(distance).toBeGreaterThan((object.radius + other.radius) * 0.95);
          }
        });
  });

  it('move an object by at least 30 % of the frame, in the direction it is said to move', () => {
    for (const { scene } of clips)
      for (const { start, end, direction } of scene.objects) {
        const dx = end.x - start.x;
        const dy = end.y - start.y;
        if (!direction) expect([dx, dy]).toEqual([0, 0]);
        if (direction === 'left') expect(dx).toBeLessThanOrEqual(-0.3);
        if (direction === 'right') expect(dx).toBeGreaterThanOrEqual(0.3);
        if (direction === 'up') expect(dy).toBeLessThanOrEqual(-0.3);
        if (direction === 'down') expect(dy).toBeGreaterThanOrEqual(0.3);
      }
  });
});

describe('frames', () => {
  it('are the same pixels for the same seed, and other pixels for another', () => {
    const pixels = (seed: string): Buffer => Buffer.concat([...generateClip(seed).frames()]);
    expect(pixels('one').equals(pixels('one'))).toBe(true);
    expect(pixels('one').equals(pixels('two'))).toBe(false);
  });

  it('show each object in its colour at the centre, except a ring, which is open there', () => {
    for (const { scene } of clips.slice(0, 40)) {
      const last = scene.frameCount - 1;
      const pixels = createRenderer(scene).frame(last);
      for (const object of scene.objects) {
        const { x, y } = centreAt(object, last, scene.frameCount);
        const at = (Math.floor(y * scene.size) * scene.size + Math.floor(x * scene.size)) * 3;
        const seen = [...pixels.subarray(at, at + 3)];
        if (object.shape === 'ring') expect(seen).not.toEqual([...object.rgb]);
        else expect(seen).toEqual([...object.rgb]);
      }
    }
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
  it('are at least four a clip, one of each kind among them, and none asked twice', () => {
    for (const { questions } of clips) {
      expect(questions.length).toBeGreaterThanOrEqual(4);
      expect(new Set(questions.map((q) => q.kind))).toEqual(new Set(QUESTION_KINDS));
      expect(new Set(questions.map((q) => q.question)).size).toBe(questions.length);
      for (const { question, answer } of questions) {
        expect(question).not.toMatch(/[{}]/);
        expect(answer).toMatch(/^([a-z]+|\d)$/);
      }
    }
  });

  it('have the one answer that is true of the scene', () => {
    for (const { scene } of clips)
      for (const { question, answer, kind } of sampleQuestions(scene, Number.POSITIVE_INFINITY)) {
        if (kind === 'count') {
          expect(answer).toBe(String(scene.objects.length));
          continue;
        }
        const words = question.toLowerCase().split(/\W+/);
        const colour = COLOUR_NAMES.find((name) => words.includes(name));
        const shape = SHAPES.find((name) => words.includes(name));
        const meant = scene.objects.filter(
          (object) => (!colour || object.colour === colour) && (!shape || object.shape === shape),
        );
        expect(meant.map((object) => object[kind])).toEqual([answer]);
      }
  });

  it('have answers that are balanced within each kind', () => {
    const possible: Record<QuestionKind, readonly string[]> = {
      colour: COLOUR_NAMES,
      shape: SHAPES,
      count: ['1', '2', '3', '4'],
      direction: DIRECTIONS,
    };
    const all = clips.flatMap((clip) => clip.questions);
    for (const kind of QUESTION_KINDS) {
      const answers = all.filter((q) => q.kind === kind).map((q) => q.answer);
      for (const answer of possible[kind]) {
        const share = answers.filter((other) => other === answer).length / answers.length;
        expect(share * possible[kind].length, `${kind} ${answer}`).toBeGreaterThan(0.7);
        expect(share * possible[kind].length, `${kind} ${answer}`).toBeLessThan(1.3);
      }
    }
  });
});

describe('the clips command', () => {
  const folder = mkdtempSync(join(tmpdir(), 'visionzip-clips-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const run = (...args: string[]) => {
    const script = fileURLToPath(new URL('../dist/scripts/clips.js', import.meta.url));
    return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8' });
  };

  it('writes the same bytes for the same seed: H.264 clips and their questions', () => {
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
        width: 192,
        height: 192,
        nb_frames: String(scene.frameCount),
      },
    ]);
    const rows = readFileSync(join(folder, 'a/questions.jsonl'), 'utf8').trim().split('\n');
    const ofSecond = rows.map((row) => JSON.parse(row)).filter((row) => row.video === 'clip-001.mp4');
    expect(ofSecond).toEqual(questions.map((q) => ({ video: 'clip-001.mp4', ...q })));
  });

  it('says what is wrong with an argument', () => {
    expect(run('--count', 'many', '--out', folder).stderr).toContain('`--count`');
    expect(run('--count', '1')).toMatchObject({ status: 2, stderr: expect.stringContaining('`--out`') });
  });
});
