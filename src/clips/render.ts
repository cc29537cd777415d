import { createRandom } from './random.js';
import { type Background, centreAt, type Rgb, type Scene, type SceneObject, type Shape } from './world.js';

/** Frames of one scene, drawn on demand; the background is drawn once. */
export interface SceneRenderer {
  /** RGB bytes of frame `frame`, row-major, (size, size, 3); a new array each time. */
  frame(frame: number): Uint8Array;
  /** (size, size): 0 for background, i + 1 where object i covers more than half of the pixel. */
  objectMap(frame: number): Uint8Array;
}

export function createRenderer(scene: Scene): SceneRenderer {
  const background = drawBackground(scene);
  const checkFrame = (frame: number): void => {
    if (!Number.isInteger(frame) || frame < 0 || frame >= scene.frameCount)
      throw new RangeError(`frame ${frame} is not one of the scene's ${scene.frameCount} frames`);
  };
  return {
    frame(frame) {
      checkFrame(frame);
      const pixels = background.slice();
      for (const object of scene.objects)
        forEachCovered(scene, object, frame, (index, coverage) => {
          for (let c = 0; c < 3; c++) {
            const under = pixels[index * 3 + c] as number;
            pixels[index * 3 + c] = under + ((object.rgb[c] as number) - under) * coverage + 0.5;
          }
        });
      return pixels;
    },
    objectMap(frame) {
      checkFrame(frame);
      const map = new Uint8Array(scene.size * scene.size);
      scene.objects.forEach((object, i) => {
        forEachCovered(scene, object, frame, (index, coverage) => {
          if (coverage > 0.5) map[index] = i + 1;
        });
      });
      return map;
    },
  };
}

/** Calls `paint` for each pixel that the object touches, with the covered share of the pixel, in (0, 1]. */
function forEachCovered(
  scene: Scene,
  object: SceneObject,
  frame: number,
  paint: (index: number, coverage: number) => void,
): void {
  const { size } = scene;
  const centre = centreAt(object, frame, scene.frameCount);
  const cx = centre.x * size;
  const cy = centre.y * size;
  const radius = object.radius * size;
  const reach = radius * 1.3;
  const cos = Math.cos(object.rotationRadians);
  const sin = Math.sin(object.rotationRadians);
  const distance = DISTANCES[object.shape];
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
const DISTANCES: Record<Shape, (x: number, y: number, r: number) => number> = {
  circle: (x, y, r) => Math.sqrt(x * x + y * y) - r,
  square: (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) - 0.84 * r,
  ring: (x, y, r) => Math.abs(Math.sqrt(x * x + y * y) - 0.76 * r) - 0.24 * r,
  triangle: (x, y, r) => {
    const below = y + 0.1 * r;
    return Math.max(below, Math.abs(x) * 0.8660254 - below * 0.5) - 0.62 * r;
  },
  star: starDistance,
};

const STAR_OUTER = 1.18;
const STAR_INNER = 0.48;

/** Five points: one tenth of the star holds half an edge, the rest is its mirror image. */
function starDistance(x: number, y: number, r: number): number {
  const fifth = (2 * Math.PI) / 5;
  const turned = Math.atan2(x, -y);
  const angle = Math.abs(turned - Math.round(turned / fifth) * fifth);
  const length = Math.sqrt(x * x + y * y);
  const px = length * Math.cos(angle);
  const py = length * Math.sin(angle);
  const tipX = STAR_OUTER * r;
  const edgeX = STAR_INNER * r * Math.cos(fifth / 2) - tipX;
  const edgeY = STAR_INNER * r * Math.sin(fifth / 2);
  return ((px - tipX) * edgeY - py * edgeX) / Math.hypot(edgeX, edgeY);
}

/** RGB bytes of the empty scene, (size, size, 3). */
function drawBackground(scene: Scene): Uint8Array {
  const { size, background } = scene;
  const random = createRandom(`${scene.seed}/grain`);
  const blend = createPattern(background, `${scene.seed}/pattern`);
  const pixels = new Uint8Array(size * size * 3);
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      const share = blend((column + 0.5) / size, (row + 0.5) / size);
      const grain = (random.next() * 2 - 1) * background.grain;
      paintMixed(pixels, (row * size + column) * 3, background, share, grain);
    }
  return pixels;
}

function paintMixed(
  pixels: Uint8Array,
  offset: number,
  colours: { readonly from: Rgb; readonly to: Rgb },
  share: number,
  grain: number,
): void {
  for (let c = 0; c < 3; c++) {
    const from = colours.from[c] as number;
    const level = from + ((colours.to[c] as number) - from) * share + grain;
    pixels[offset + c] = level < 0 ? 0 : level > 255 ? 255 : level + 0.5;
  }
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
