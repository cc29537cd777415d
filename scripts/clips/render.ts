import { createRandom } from './random.js';
import {
  type Background,
  centreAt,
  type Flash,
  isSeen,
  type Life,
  type Rgb,
  type Scene,
  type SceneObject,
  type Shape,
} from './world.js';

/** Frames of one scene, drawn on demand. */
export interface SceneRenderer {
  /** RGB bytes of frame `frame`, row-major, (size, size, 3); a new array each time. */
  frame(frame: number): Uint8Array;
  /** (size, size): 0 for background, i + 1 where object i covers more than half of the pixel, n + 1 for the flash. */
  objectMap(frame: number): Uint8Array;
}

export function createRenderer(scene: Scene): SceneRenderer {
  const background = createBackground(scene);
  const checkFrame = (frame: number): void => {
    if (!Number.isInteger(frame) || frame < 0 || frame >= scene.frameCount)
      throw new RangeError(`frame ${frame} is not one of the scene's ${scene.frameCount} frames`);
  };
  return {
    frame(frame) {
      checkFrame(frame);
      const pixels = background(frame);
      for (const { rgb, figure } of figuresIn(scene, frame))
        forEachCovered(scene.size, figure, (index, coverage) => {
          for (let c = 0; c < 3; c++) {
            const under = pixels[index * 3 + c] as number;
            pixels[index * 3 + c] = under + ((rgb[c] as number) - under) * coverage + 0.5;
          }
        });
      return pixels;
    },
    objectMap(frame) {
      checkFrame(frame);
      const map = new Uint8Array(scene.size * scene.size);
      for (const { label, figure } of figuresIn(scene, frame))
        forEachCovered(scene.size, figure, (index, coverage) => {
          if (coverage > 0.5) map[index] = label;
        });
      return map;
    },
  };
}

/** What is to be painted, in pixels. */
interface Figure {
  readonly shape: Shape | 'flash';
  readonly cx: number;
  readonly cy: number;
  readonly radius: number;
  readonly turnedRadians: number;
}

/** The objects of a frame in painting order, the flash above all. */
function figuresIn(scene: Scene, frame: number): { label: number; rgb: Rgb; figure: Figure }[] {
  const { objects, flash } = scene;
  const figures: { label: number; rgb: Rgb; life: Life; figure: Figure }[] = objects.map((object, i) => ({
    label: i + 1,
    rgb: object.rgb,
    life: object,
    figure: objectFigure(scene, object, frame),
  }));
  if (flash)
    figures.push({
      label: objects.length + 1,
      rgb: flash.rgb,
      life: flash,
      figure: flashFigure(scene, flash),
    });
  return figures.filter(({ life }) => isSeen(life, frame));
}

function objectFigure({ size, frameCount }: Scene, object: SceneObject, frame: number): Figure {
  const centre = centreAt(object, frame, frameCount);
  return {
    shape: object.shape,
    cx: centre.x * size,
    cy: centre.y * size,
    radius: object.radius * size,
    turnedRadians: object.rotationRadians + (object.spinRadians * frame) / frameCount,
  };
}

function flashFigure({ size }: Scene, { centre, radius }: Flash): Figure {
  return {
    shape: 'flash',
    cx: centre.x * size,
    cy: centre.y * size,
    radius: radius * size,
    turnedRadians: 0,
  };
}

/** Calls `paint` for each pixel that the figure touches, with the covered share of the pixel, in (0, 1]. */
function forEachCovered(
  size: number,
  figure: Figure,
  paint: (index: number, coverage: number) => void,
): void {
  const { cx, cy, radius } = figure;
  const reach = radius * 1.3;
  const cos = Math.cos(figure.turnedRadians);
  const sin = Math.sin(figure.turnedRadians);
  const distance = DISTANCES[figure.shape];
  const lastRow = Math.min(size - 1, Math.ceil(cy + reach));
  const lastColumn = Math.min(size - 1, Math.ceil(cx + reach));
  for (let row = Math.max(0, Math.floor(cy - reach)); row <= lastRow; row++) {
    const v = row + 0.5 - cy;
    for (let column = Math.max(0, Math.floor(cx - reach)); column <= lastColumn; column++) {
      const u = column + 0.5 - cx;
      const outside = distance(u * cos + v * sin, v * cos - u * sin, radius);
      if (outside < 0.5) paint(row * size + column, Math.min(1, 0.5 - outside));
    }
  }
}

/**
 * Distance of (x, y) to the outline of a shape of radius r around the origin, y down, pixels; below 0 inside.
 * Near a corner it is the distance to the nearest edge's line, exact enough to smooth the outline with.
 */
const DISTANCES: Record<Shape | 'flash', (x: number, y: number, r: number) => number> = {
  circle: (x, y, r) => Math.sqrt(x * x + y * y) - r,
  square: (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) - 0.84 * r,
  ring: (x, y, r) => Math.abs(Math.sqrt(x * x + y * y) - 0.76 * r) - 0.24 * r,
  triangle: (x, y, r) => {
    const below = y + 0.1 * r;
    return Math.max(below, Math.abs(x) * 0.8660254 - below * 0.5) - 0.62 * r;
  },
  star: (x, y, r) => starDistance(x, y, { points: 5, outer: 1.18 * r, inner: 0.48 * r }),
  flash: (x, y, r) => starDistance(x, y, { points: 10, outer: 1.25 * r, inner: 0.6 * r }),
};

/** With n points, the 2n-th part of the star holds half an edge, the rest is its mirror image. */
function starDistance(x: number, y: number, star: { points: number; outer: number; inner: number }): number {
  const step = (2 * Math.PI) / star.points;
  const turned = Math.atan2(x, -y);
  const angle = Math.abs(turned - Math.round(turned / step) * step);
  const length = Math.sqrt(x * x + y * y);
  const px = length * Math.cos(angle);
  const py = length * Math.sin(angle);
  const edgeX = star.inner * Math.cos(step / 2) - star.outer;
  const edgeY = star.inner * Math.sin(step / 2);
  return ((px - star.outer) * edgeY - py * edgeX) / Math.hypot(edgeX, edgeY);
}

/** Frames of the empty scene, (size, size, 3): a pattern that drifts, and grain that is new in every frame. */
function createBackground(scene: Scene): (frame: number) => Uint8Array {
  const { size, background, fps } = scene;
  const tile = drawTile(background, size, `${scene.seed}/pattern`);
  const grain = drawGrain(background.grain, 4 * size * size, `${scene.seed}/grain`);
  const random = createRandom(`${scene.seed}/frames`);
  const shifts = Uint32Array.from({ length: scene.frameCount }, () => random.index(grain.length));
  return (frame) => {
    const pixels = new Uint8Array(size * size * 3);
    const right = wrap(Math.round((background.drift.x * size * frame) / fps), tile.side);
    const down = wrap(Math.round((background.drift.y * size * frame) / fps), tile.side);
    let noise = shifts[frame] as number;
    for (let row = 0; row < size; row++) {
      const line = ((row + down) % tile.side) * tile.side;
      for (let column = 0; column < size; column++) {
        const from = (line + ((column + right) % tile.side)) * 3;
        const to = (row * size + column) * 3;
        const lift = grain[noise++ % grain.length] as number;
        for (let c = 0; c < 3; c++) pixels[to + c] = clamp((tile.pixels[from + c] as number) + lift);
      }
    }
    return pixels;
  };
}

/** The pattern on a square that repeats, twice the frame wide: its second half mirrors the first, so no seam shows. */
function drawTile(
  background: Background,
  size: number,
  seed: string,
): { side: number; pixels: Float32Array } {
  const blend = createPattern(background, seed);
  const side = 2 * size;
  const pixels = new Float32Array(side * side * 3);
  const { from, to } = background;
  for (let row = 0; row < side; row++)
    for (let column = 0; column < side; column++) {
      const x = column < size ? column : side - 1 - column;
      const y = row < size ? row : side - 1 - row;
      const share = blend((x + 0.5) / size, (y + 0.5) / size);
      for (let c = 0; c < 3; c++)
        pixels[(row * side + column) * 3 + c] =
          (from[c] as number) + ((to[c] as number) - (from[c] as number)) * share;
    }
  return { side, pixels };
}

/** Random levels within ± `range`. */
function drawGrain(range: number, length: number, seed: string): Float32Array {
  const random = createRandom(seed);
  return Float32Array.from({ length }, () => (random.next() * 2 - 1) * range);
}

function wrap(offset: number, length: number): number {
  return ((offset % length) + length) % length;
}

function clamp(level: number): number {
  return level < 0 ? 0 : level > 255 ? 255 : level + 0.5;
}

/** The background's pattern: (x, y) in fractions of the side to a share in [0, 1]. */
function createPattern(background: Background, seed: string): (x: number, y: number) => number {
  const { pattern, scale, angleRadians } = background;
  const clouds = createClouds(scale, seed);
  const cos = Math.cos(angleRadians) / scale;
  const sin = Math.sin(angleRadians) / scale;
  if (pattern === 'clouds') return clouds;
  return (x, y) => {
    const across = Math.sin((x * cos + y * sin) * Math.PI);
    const along = pattern === 'checks' ? Math.sin((y * cos - x * sin) * Math.PI) : 1;
    return 0.7 * (0.5 + 0.5 * across * along) + 0.3 * clouds(x, y);
  };
}

/** Value noise: random levels on a grid of cells `scale` wide, smoothly interpolated. */
function createClouds(scale: number, seed: string): (x: number, y: number) => number {
  const random = createRandom(seed);
  const cells = Math.ceil(1 / scale) + 2;
  const levels = Float32Array.from({ length: cells * cells }, () => random.next());
  const smooth = (t: number): number => t * t * (3 - 2 * t);
  return (x, y) => {
    const column = Math.floor(x / scale);
    const row = Math.floor(y / scale);
    const u = smooth(x / scale - column);
    const v = smooth(y / scale - row);
    const at = row * cells + column;
    const top = (levels[at] as number) * (1 - u) + (levels[at + 1] as number) * u;
    const bottom = (levels[at + cells] as number) * (1 - u) + (levels[at + cells + 1] as number) * u;
    return top * (1 - v) + bottom * v;
  };
}
