import { createRandom, type Random } from './random.js';

export const SHAPES = ['circle', 'square', 'triangle', 'star', 'ring'] as const;
export type Shape = (typeof SHAPES)[number];

/** Mid colour of each name, sRGB 0..255; every object varies a little around it. */
export const COLOURS = {
  red: [215, 35, 35],
  orange: [250, 135, 15],
  yellow: [245, 230, 50],
  green: [35, 175, 60],
  blue: [40, 85, 235],
  purple: [160, 50, 200],
  white: [245, 245, 245],
} as const satisfies Record<string, Rgb>;
export type Colour = keyof typeof COLOURS;
export const COLOUR_NAMES = Object.keys(COLOURS) as Colour[];

export const DIRECTIONS = ['left', 'right', 'up', 'down'] as const;
export type Direction = (typeof DIRECTIONS)[number];

export type Rgb = readonly [number, number, number];

/** A place in the frame: fractions of the side, x to the right, y down. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A part of the clip: from frame `first` on, no longer in frame `end`. */
export interface Life {
  readonly first: number;
  readonly end: number;
}

export interface SceneObject extends Life {
  readonly shape: Shape;
  readonly colour: Colour;
  /** The colour as painted, 0..255. */
  readonly rgb: Rgb;
  /** Half the diameter, as a fraction of the frame's side. */
  readonly radius: number;
  readonly rotationRadians: number;
  /** How far it turns in the whole clip. */
  readonly spinRadians: number;
  /** Centre at the clip's first and last frame, seen there or not; the way between is straight and even. */
  readonly start: Point;
  readonly finish: Point;
  /** Undefined for an object that stays where it is. */
  readonly direction: Direction | undefined;
}

/** A burst of light, a fraction of a second. No object has its colour: a colour names one thing. */
export interface Flash extends Life {
  readonly colour: Colour;
  readonly rgb: Rgb;
  readonly radius: number;
  readonly centre: Point;
}

export interface Background {
  readonly pattern: 'clouds' | 'stripes' | 'checks';
  /** The two colours between which the pattern runs, 0..255. */
  readonly from: Rgb;
  readonly to: Rgb;
  /** Size of the pattern's cells, as a fraction of the frame's side. */
  readonly scale: number;
  readonly angleRadians: number;
  /** How far the pattern drifts in a second, fractions of the side. */
  readonly drift: Point;
  /** Half the range of the noise on every pixel of every frame, in levels of 255. */
  readonly grain: number;
}

/** Everything that can be seen in a clip, before a pixel is drawn. */
export interface Scene {
  readonly seed: string;
  /** Width and height of a frame, pixels. */
  readonly size: number;
  readonly fps: number;
  readonly frameCount: number;
  /** x264's constant rate factor. */
  readonly crf: number;
  readonly background: Background;
  /** Later ones cover earlier ones. */
  readonly objects: readonly SceneObject[];
  readonly flash: Flash | undefined;
}

export interface SceneOptions {
  /** Shortest and longest clip; lengths are spread evenly on a logarithmic scale. Default 2 to 20. */
  readonly seconds?: readonly [number, number];
  /** How likely there is a flash; default 0. */
  readonly flashProbability?: number;
}

const SIZES = [128, 160, 192, 256] as const;
const FRAME_RATES = [10, 12, 15, 24] as const;
const MAX_OBJECTS = 4;
const MOVE_PROBABILITY = 0.6;
const EVENT_PROBABILITY = 0.6;
/** Diameter of an object and the length of its way, fractions of the frame's side. */
const DIAMETER = [0.16, 0.23] as const;
const DISTANCE = [0.36, 0.6] as const;
/**
 * Events lie between these parts of the clip, apart by more than the seventh between two of eight frames. Rounded to
 * whole frames, two of them fall into one seventh in 1 of 400 clips of 2 seconds; ever rarer in longer ones.
 */
const EVENTS = { from: 0.2, to: 0.8, gap: 0.155 } as const;
/**
 * Two centres are at least this share of the radii's sum apart at each of 16 moments: a part of an object may be covered.
 * In between, as where one has just appeared, two come closer in 1 of 60 clips; in 20,000 clips never below a half.
 */
const CLOSEST = 0.75;

/** Centre of an object in frame `frame`. */
export function centreAt(object: SceneObject, frame: number, frameCount: number): Point {
  const t = frameCount > 1 ? frame / (frameCount - 1) : 0;
  return {
    x: object.start.x + (object.finish.x - object.start.x) * t,
    y: object.start.y + (object.finish.y - object.start.y) * t,
  };
}

export function isSeen({ first, end }: Life, frame: number): boolean {
  return first <= frame && frame < end;
}

/**
 * Draws a scene: 1 to 4 small objects of different colours on a textured background that drifts and is noisy. Most
 * move, turn, appear or vanish on the way; at least one moves, and at least one has a shape of its own. The same seed
 * and options give the same scene.
 */
export function sampleScene(seed: string, options: SceneOptions = {}): Scene {
  const random = createRandom(seed);
  const [shortest, longest] = options.seconds ?? [2, 20];
  const count = 1 + random.index(MAX_OBJECTS);
  const fps = random.pick(FRAME_RATES);
  const frameCount = Math.round(fps * shortest * (longest / shortest) ** random.next());
  const scene = {
    seed,
    size: random.pick(SIZES),
    fps,
    frameCount,
    crf: 18 + random.index(13),
    background: sampleBackground(random),
  };
  const colours = random.shuffle(COLOUR_NAMES).slice(0, count);
  const shapes = sampleShapes(random, count);
  const mover = random.index(count);
  const directions = colours.map((_, i) =>
    i === mover || random.next() < MOVE_PROBABILITY ? random.pick(DIRECTIONS) : undefined,
  );
  const lives = sampleLives(random, count, frameCount);
  const flash =
    random.next() < (options.flashProbability ?? 0)
      ? sampleFlash(random, { fps, frameCount, taken: colours })
      : undefined;
  for (;;) {
    const objects = colours.map((colour, i) =>
      sampleObject(random, { colour, shape: shapes[i]!, direction: directions[i], life: lives[i]! }),
    );
    if (keepApart(objects, frameCount)) return { ...scene, objects, flash };
  }
}

/** `count` shapes, repeats allowed, with one among them that occurs once. */
function sampleShapes(random: Random, count: number): Shape[] {
  for (;;) {
    const shapes = Array.from({ length: count }, () => random.pick(SHAPES));
    if (shapes.some((shape) => shapes.filter((other) => other === shape).length === 1)) return shapes;
  }
}

/** Each object is there all the time, or appears, or vanishes, at a moment of its own. */
function sampleLives(random: Random, count: number, frameCount: number): Life[] {
  const slack = EVENTS.to - EVENTS.from - EVENTS.gap * (count - 1);
  const offsets = Array.from({ length: count }, () => random.next() * slack).sort((a, b) => a - b);
  const moments = random.shuffle(offsets.map((offset, i) => EVENTS.from + offset + i * EVENTS.gap));
  return moments.map((moment) => {
    const frame = Math.round(moment * (frameCount - 1));
    if (random.next() >= EVENT_PROBABILITY) return { first: 0, end: frameCount };
    return random.next() < 0.5 ? { first: frame, end: frameCount } : { first: 0, end: frame };
  });
}

function sampleFlash(
  random: Random,
  { fps, frameCount, taken }: { fps: number; frameCount: number; taken: readonly Colour[] },
): Flash {
  const length = Math.max(1, Math.round(fps * random.between(0.3, 0.8)));
  const first = random.index(Math.max(1, frameCount - length));
  const radius = random.between(0.12, 0.16);
  const colour = random.pick(COLOUR_NAMES.filter((name) => !taken.includes(name)));
  return {
    first,
    end: first + length,
    colour,
    rgb: vary(random, COLOURS[colour], 8),
    radius,
    centre: { x: random.between(radius, 1 - radius), y: random.between(radius, 1 - radius) },
  };
}

function sampleObject(
  random: Random,
  wanted: { colour: Colour; shape: Shape; direction: Direction | undefined; life: Life },
): SceneObject {
  const { colour, shape, direction, life } = wanted;
  const radius = random.between(...DIAMETER) / 2;
  const distance = direction ? random.between(...DISTANCE) : 0;
  const dx = direction === 'left' ? -distance : direction === 'right' ? distance : 0;
  const dy = direction === 'up' ? -distance : direction === 'down' ? distance : 0;
  const edge = radius * 1.15;
  const start = {
    x: random.between(edge + Math.max(0, -dx), 1 - edge - Math.max(0, dx)),
    y: random.between(edge + Math.max(0, -dy), 1 - edge - Math.max(0, dy)),
  };
  return {
    ...life,
    shape,
    colour,
    rgb: vary(random, COLOURS[colour], 12),
    radius,
    rotationRadians: random.between(-0.2, 0.2),
    spinRadians: random.next() < 0.5 ? random.between(-2, 2) : 0,
    start,
    finish: { x: start.x + dx, y: start.y + dy },
    direction,
  };
}

/** Whether no two objects that are there together come too close at any of 16 moments. */
function keepApart(objects: readonly SceneObject[], frameCount: number): boolean {
  const moments = Array.from({ length: 16 }, (_, i) => Math.round((i * (frameCount - 1)) / 15));
  return objects.every((one, i) =>
    objects.slice(i + 1).every((other) =>
      moments.every((frame) => {
        if (!isSeen(one, frame) || !isSeen(other, frame)) return true;
        const a = centreAt(one, frame, frameCount);
        const b = centreAt(other, frame, frameCount);
        return Math.hypot(a.x - b.x, a.y - b.y) >= (one.radius + other.radius) * CLOSEST;
      }),
    ),
  );
}

function sampleBackground(random: Random): Background {
  const dimColour = (level: number): Rgb => vary(random, [level, level, level], 18);
  const level = random.between(25, 100);
  return {
    pattern: random.pick(['clouds', 'stripes', 'checks'] as const),
    from: dimColour(level),
    to: dimColour(level + random.between(15, 45)),
    scale: random.between(0.06, 0.3),
    angleRadians: random.between(0, Math.PI),
    drift: { x: random.between(-0.1, 0.1), y: random.between(-0.1, 0.1) },
    grain: random.between(2, 14),
  };
}

function vary(random: Random, [r, g, b]: Rgb, range: number): Rgb {
  const level = (mid: number): number =>
    Math.min(255, Math.max(0, Math.round(mid + random.between(-range, range))));
  return [level(r), level(g), level(b)];
}
