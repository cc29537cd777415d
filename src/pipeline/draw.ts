/** How a frame's patches were treated, in raster order of the grid. */
export interface PatchMap {
  readonly rows: number;
  readonly columns: number;
  /** Patches that were kept as they are. */
  readonly dominant: ReadonlySet<number>;
  /** For each contextual token its patches, the target first. */
  readonly contextual: readonly (readonly number[])[];
}

export interface Picture {
  readonly width: number;
  readonly height: number;
  /** (height, width, 3), row-major. */
  readonly rgb: Uint8Array;
}

type Colour = readonly [number, number, number];

/** Small frames are enlarged by a whole factor until their shorter side has this many pixels. */
const shorterSide = 480;
const outline: Colour = [255, 224, 32];
/** Brightness of patches that were merged or dropped. */
const dimmedTo = 0.5;
/** Share of a contextual token's colour in the patches that went into it. */
const tint = 0.2;

/**
 * Draws which patches VisionZip kept, on the picture that the vision tower saw: dominant patches as they are within a
 * yellow outline; the others dimmed and tinted with the colour of the contextual token that they went into, whose
 * target patch has an outline in that colour. What went nowhere is only dimmed.
 */
export function drawPatches(seen: Picture, map: PatchMap): Picture {
  const scale = Math.max(1, Math.ceil(shorterSide / Math.min(seen.width, seen.height)));
  const width = seen.width * scale;
  const height = seen.height * scale;
  const rgb = new Uint8Array(width * height * 3);
  const xs = axis(width, map.columns);
  const ys = axis(height, map.rows);
  const styles = patchStyles(map);
  for (let y = 0; y < height; y++) {
    const sourceRow = Math.floor(y / scale) * seen.width;
    for (let x = 0; x < width; x++) {
      const source = (sourceRow + Math.floor(x / scale)) * 3;
      const pixel: Colour = [seen.rgb[source]!, seen.rgb[source + 1]!, seen.rgb[source + 2]!];
      rgb.set(pixelColour(pixel, xs[x]!, ys[y]!, map, styles), (y * width + x) * 3);
    }
  }
  return { width, height, rgb };
}

/** A pixel's place along one axis: its patch, and on which edge of that patch it lies. */
interface Step {
  readonly patch: number;
  /** −1 on the low edge, 1 on the high edge, 0 inside. */
  readonly edge: -1 | 0 | 1;
}

/** The patches divide the pixels evenly, up to rounding. */
function axis(pixels: number, patches: number): Step[] {
  const line = Math.max(1, Math.round(pixels / patches / 20));
  const start = (patch: number) => Math.ceil((patch * pixels) / patches);
  return Array.from({ length: pixels }, (_, pixel) => {
    const patch = Math.floor((pixel * patches) / pixels);
    if (pixel < start(patch) + line) return { patch, edge: -1 };
    return { patch, edge: pixel >= start(patch + 1) - line ? 1 : 0 };
  });
}

/** How one patch looks. Null stands for a patch that went nowhere. */
type Style = { kind: 'dominant' } | { kind: 'merged'; colour: Colour; isTarget: boolean } | null;

function patchStyles(map: PatchMap): Style[] {
  const styles = new Array<Style>(map.rows * map.columns).fill(null);
  map.contextual.forEach((members, token) => {
    const colour = hueColour(token / map.contextual.length);
    members.forEach((patch, i) => {
      styles[patch] = { kind: 'merged', colour, isTarget: i === 0 };
    });
  });
  for (const patch of map.dominant) styles[patch] = { kind: 'dominant' };
  return styles;
}

function pixelColour(pixel: Colour, x: Step, y: Step, map: PatchMap, styles: readonly Style[]): Colour {
  const style = styles[y.patch * map.columns + x.patch]!;
  if (style?.kind === 'dominant') return isOutline(x, y, map) ? outline : pixel;
  const dimmed = blend(pixel, [0, 0, 0], 1 - dimmedTo);
  if (!style) return dimmed;
  if (style.isTarget && (x.edge !== 0 || y.edge !== 0)) return style.colour;
  return blend(dimmed, style.colour, tint);
}

/** Whether a pixel of a dominant patch lies on an edge whose other side is not dominant. */
function isOutline(x: Step, y: Step, map: PatchMap): boolean {
  const isDominant = (row: number, column: number) =>
    row >= 0 &&
    row < map.rows &&
    column >= 0 &&
    column < map.columns &&
    map.dominant.has(row * map.columns + column);
  return (
    (x.edge !== 0 && !isDominant(y.patch, x.patch + x.edge)) ||
    (y.edge !== 0 && !isDominant(y.patch + y.edge, x.patch))
  );
}

function blend(from: Colour, to: Colour, share: number): Colour {
  const mix = (i: 0 | 1 | 2) => Math.round(from[i] * (1 - share) + to[i] * share);
  return [mix(0), mix(1), mix(2)];
}

/** A saturated colour of the hue circle, 0 to 1. */
function hueColour(hue: number): Colour {
  const channel = (offset: number) => {
    const distance = Math.abs(((((hue + offset) % 1) + 1) % 1) - 0.5) * 6;
    return Math.round(255 * Math.min(1, Math.max(0, distance - 1)));
  };
  return [channel(0), channel(-1 / 3), channel(1 / 3)];
}
