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

export interface SceneObject {
  readonly shape: Shape;
  readonly colour: Colour;
  /** The colour as painted, 0..255. */
  readonly rgb: Rgb;
  /** Half the diameter, as a fraction of the frame's side. */
  readonly radius: number;
  readonly rotationRadians: number;
  /** Centre in the first and in the last frame; the way between is straight and even. */
  readonly start: Point;
  readonly end: Point;
  /** Undefined for an object that stays where it is. */
  readonly direction: Direction | undefined;
}

export interface Background {
  readonly pattern: 'clouds' | 'stripes' | 'checks';
  /** The two colours between which the pattern runs, 0..255. */
  readonly from: Rgb;
  readonly to: Rgb;
  /** Size of the pattern's cells, as a fraction of the frame's side. */
  readonly scale: number;
  readonly angleRadians: number;
  /** Half the range of the noise on every pixel, in levels of 255. */
  readonly grain: number;
}

/** Everything that can be seen in a clip, before a pixel is drawn. */
export interface Scene {
  readonly seed: string;
  /** Width and height of a frame, pixels. */
  readonly size: number;
  readonly fps: number;
  readonly frameCount: number;
  readonly background: Background;
  readonly objects: readonly SceneObject[];
}

const FRAME_SIZE = 192;
const MAX_OBJECTS = 4;
const MOVE_PROBABILITY = 0.6;

/** Ranges of an object's diameter and of the distance that it moves, as fractions of the frame's side. */
interface Room {
  readonly diameter: readonly [number, number];
  readonly distance: readonly [number, number];
}

/** By number of objects, from one: four large ones would not fit without covering each other. */
const ROOM: readonly Room[] = [
  { diameter: [0.24, 0.32], distance: [0.36, 0.6] },
  { diameter: [0.24, 0.32], distance: [0.34, 0.56] },
  { diameter: [0.23, 0.29], distance: [0.32, 0.5] },
  { diameter: [0.22, 0.26], distance: [0.3, 0.44] },
];

/** Centre of an object in frame `frame` of `frameCount`. */
export function centreAt(object: SceneObject, frame: number, frameCount: number): Point {
  const t = frameCount > 1 ? frame / (frameCount - 1) : 0;
  return {
    x: object.start.x + (object.end.x - object.start.x) * t,
    y: object.start.y + (object.end.y - object.start.y) * t,
  };
}

/**
 * Draws a scene: 1 to 4 objects of different colours on a dim textured background, at least one of them moving,
 * at least one of a shape that no other has, none covering another by much. The same seed gives the same scene.
 */
export function sampleScene(seed: string): Scene {
  const random = createRandom(seed);
  const count = 1 + random.index(MAX_OBJECTS);
  const fps = random.pick([10, 12]);
  const frameCount = Math.round(fps * random.between(2, 4));
  const background = sampleBackground(random);
  const colours = random.shuffle(COLOUR_NAMES).slice(0, count);
  const shapes = sampleShapes(random, count);
  const mover = random.index(count);
  const directions = colours.map((_, i) =>
    i === mover || random.next() < MOVE_PROBABILITY ? random.pick(DIRECTIONS) : undefined,
  );
  for (;;) {
    const objects = colours.map((colour, i) =>
      sampleObject(random, { colour, shape: shapes[i] as Shape, direction: directions[i], count }),
    );
    if (keepApart(objects)) return { seed, size: FRAME_SIZE, fps, frameCount, background, objects };
  }
}

/** `count` shapes, repeats allowed, with one among them that occurs once. */
function sampleShapes(random: Random, count: number): Shape[] {
  for (;;) {
    const shapes = Array.from({ length: count }, () => random.pick(SHAPES));
    if (shapes.some((shape) => shapes.filter((other) => other === shape).length === 1)) return shapes;
  }
}

function sampleObject(
  random: Random,
  wanted: { colour: Colour; shape: Shape; direction: Direction | undefined; count: number },
): SceneObject {
  const { colour, shape, direction, count } = wanted;
  const room = ROOM[count - 1] as Room;
  const radius = random.between(...room.diameter) / 2;
  const distance = direction ? random.between(...room.distance) : 0;
  const dx = direction === 'left' ? -distance : direction === 'right' ? distance : 0;
  const dy = direction === 'up' ? -distance : direction === 'down' ? distance : 0;
  const edge = radius * 1.15;
  const start = {
    x: random.between(edge + Math.max(0, -dx), 1 - edge - Math.max(0, dx)),
    y: random.between(edge + Math.max(0, -dy), 1 - edge - Math.max(0, dy)),
  };
  const [r, g, b] = COLOURS[colour];
  const rgb = [r, g, b].map((level) => clampLevel(level + random.between(-12, 12)));
  return {
    shape,
    colour,
    rgb: rgb as unknown as Rgb,
    radius,
    rotationRadians: random.between(-0.2, 0.2),
    start,
    end: { x: start.x + dx, y: start.y + dy },
    direction,
  };
}

/** Whether no two objects come closer than the sum of their radii at any of 16 moments. */
function keepApart(objects: readonly SceneObject[]): boolean {
  const moments = 16;
  return objects.every((one, i) =>
    objects.slice(i + 1).every((other) => {
      for (let moment = 0; moment < moments; moment++) {
        const a = centreAt(one, moment, moments);
        const b = centreAt(other, moment, moments);
        if (Math.hypot(a.x - b.x, a.y - b.y) < (one.radius + other.radius) * 1.02) return false;
      }
      return true;
    }),
  );
}

function sampleBackground(random: Random): Background {
  const dimColour = (level: number): Rgb => {
    const tint = (): number => clampLevel(level + random.between(-14, 14));
    return [tint(), tint(), tint()];
  };
  const level = random.between(30, 95);
  return {
    pattern: random.pick(['clouds', 'stripes', 'checks'] as const),
    from: dimColour(level),
    to: dimColour(level + random.between(12, 34)),
    scale: random.between(0.08, 0.3),
    angleRadians: random.between(0, Math.PI),
    grain: random.between(2, 8),
  };
}

function clampLevel(level: number): number {
  return Math.min(255, Math.max(0, Math.round(level)));
}
