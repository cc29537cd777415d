import { CELL_VALUES, type FrameCells } from '../media/cells.js';

/** How far a frame is compared back and ahead, in seconds. */
const WINDOW_SECONDS = 0.2;
/** What goes on within so many seconds of a frame is not an event. */
const USUAL_SECONDS = 5;
/** Within a range the change is what it is in the whole video where so many seconds around it are compared, too. */
export const AROUND_SECONDS = USUAL_SECONDS + 2;
/** Two events are at least so far apart, in seconds. */
const APART_SECONDS = 0.25;
/** Of 255: below it nothing has happened. Noise of coding stays under half of it. */
const LEAST_CHANGE = 12;

/**
 * How much changes at each frame of a video: (F), 0 to 255. Each cell's mean over the next 0.2 seconds is held against that
 * over the last 0.2 seconds; the largest difference counts, less its median within 5 seconds, so that what moves all the
 * time is no event.
 *
 * @param frames those that are compared, in order; the others have 0.
 * @param ptsSeconds (F) times of all frames.
 */
export async function measureChange(
  frames: AsyncIterable<FrameCells>,
  ptsSeconds: ArrayLike<number>,
): Promise<Float32Array> {
  const change = new Float32Array(ptsSeconds.length);
  const near = new Window(ptsSeconds);
  for await (const frame of frames) {
    for (const [index, value] of near.push(frame)) change[index] = value;
  }
  for (const [index, value] of near.end()) change[index] = value;
  return subtractUsual(change, ptsSeconds);
}

/** The frames around those that are not yet compared. */
class Window {
  readonly #frames: FrameCells[] = [];
  /** Place in `#frames` of the first that is not yet compared. */
  #next = 0;

  constructor(private readonly ptsSeconds: ArrayLike<number>) {}

  /** What can be said once this frame is there. */
  *push(frame: FrameCells): Generator<[index: number, change: number]> {
    const now = this.ptsSeconds[frame.index]!;
    while (this.#next < this.#frames.length && now - this.#timeOf(this.#next) >= WINDOW_SECONDS) {
      yield this.#compareNext();
    }
    this.#frames.push(frame);
  }

  *end(): Generator<[index: number, change: number]> {
    while (this.#next < this.#frames.length) yield this.#compareNext();
  }

  #compareNext(): [index: number, change: number] {
    const at = this.#next++;
    const now = this.#timeOf(at);
    let start = at;
    while (start > 0 && now - this.#timeOf(start - 1) <= WINDOW_SECONDS) start--;
    // Where nothing was shown anew for longer, the last frame is what was on display.
    const before = this.#frames.slice(start === at && at > 0 ? at - 1 : start, at);
    const after = this.#frames
      .slice(at)
      .filter(({ index }) => this.ptsSeconds[index]! - now < WINDOW_SECONDS);
    const { index } = this.#frames[at]!;
    const change = before.length === 0 ? 0 : largestDifference(before, after);
    const unneeded = Math.max(0, Math.min(start, at - 1));
    this.#frames.splice(0, unneeded);
    this.#next -= unneeded;
    return [index, change];
  }

  #timeOf(place: number): number {
    return this.ptsSeconds[this.#frames[place]!.index]!;
  }
}

function largestDifference(before: readonly FrameCells[], after: readonly FrameCells[]): number {
  let largest = 0;
  for (let i = 0; i < CELL_VALUES; i++) {
    largest = Math.max(largest, Math.abs(meanOf(after, i) - meanOf(before, i)));
  }
  return largest;
}

function meanOf(frames: readonly FrameCells[], i: number): number {
  let sum = 0;
  for (const { cells } of frames) sum += cells[i]!;
  return sum / frames.length;
}

function subtractUsual(change: Float32Array, ptsSeconds: ArrayLike<number>): Float32Array {
  const last = change.length - 1;
  const usual = onceASecond(ptsSeconds, (from, to, second) => {
    const start = Math.max(ptsSeconds[0]!, second - USUAL_SECONDS);
    const end = Math.min(ptsSeconds[last]!, second + 1 + USUAL_SECONDS);
    return medianOverTime(change.slice(from, to), end - start);
  });
  return change.map((value, i) => Math.max(0, value - usual[i]!));
}

/**
 * What is usual around each frame: (F), found out once a second.
 *
 * @param usualOf of the frames from `from` to before `to`, which are those within 5 seconds of a second.
 */
function onceASecond(
  ptsSeconds: ArrayLike<number>,
  usualOf: (from: number, to: number, second: number) => number,
): Float64Array {
  const count = ptsSeconds.length;
  const usual = new Float64Array(count);
  let second = Number.NaN;
  let [from, to] = [0, 0];
  for (let i = 0; i < count; i++) {
    if (Math.floor(ptsSeconds[i]!) === second) {
      usual[i] = usual[i - 1]!;
      continue;
    }
    second = Math.floor(ptsSeconds[i]!);
    while (ptsSeconds[from]! < second - USUAL_SECONDS) from++;
    while (to < count && ptsSeconds[to]! < second + 1 + USUAL_SECONDS) to++;
    usual[i] = usualOf(from, to, second);
  }
  return usual;
}

/** While a frame stays on display nothing changes: frames that come seldom are filled up to one each 0.2 seconds. */
function medianOverTime(change: Float32Array, seconds: number): number {
  const still = Math.max(0, Math.floor(seconds / WINDOW_SECONDS) - change.length);
  const middle = ((change.length + still) >> 1) - still;
  return middle < 0 ? 0 : change.sort()[middle]!;
}

/** Packets are held against those within so many seconds, of which so large a share is smaller than what is usual. */
const USUAL_SHARE = 0.9;
/** A packet twice as large as usual counts as a change of so much, of 255. */
const OF_TWICE = 40;

/**
 * What the sizes of packets alone say of how much changes: (F), 0 to 255. Where a picture cannot be had from the ones before,
 * its packet is larger than those around it. Keyframes always are, and have 0; so does a video with no known sizes.
 *
 * @param keyframes positions of frames that are coded for themselves.
 */
export function measureSurprise(
  sizes: ArrayLike<number>,
  keyframes: Iterable<number>,
  ptsSeconds: ArrayLike<number>,
): Float32Array {
  const isKey = new Set(keyframes);
  const usual = onceASecond(ptsSeconds, (from, to) => {
    const near: number[] = [];
    for (let k = from; k < to; k++) if (!isKey.has(k)) near.push(sizes[k]!);
    near.sort((a, b) => a - b);
    return near[Math.floor(USUAL_SHARE * near.length)] ?? Number.NaN;
  });
  return Float32Array.from(sizes, (size, i) => {
    const times = size / usual[i]!;
    return !isKey.has(i) && times > 1 ? Math.min(255, OF_TWICE * (times - 1)) : 0;
  });
}

/** Changes that differ by less are about as large, of 255. */
const ABOUT = 16;

/**
 * Where something happens: positions of frames at which most changes, at least 0.25 seconds apart. What is below 12 of 255
 * is no event. The largest come first; of those that are about as large, as the cuts of a film are, the first few lie
 * spread over the time.
 */
export function findEvents(change: Float32Array, ptsSeconds: ArrayLike<number>): number[] {
  const strong = [...change.keys()].filter((i) => change[i]! >= LEAST_CHANGE);
  strong.sort((a, b) => change[b]! - change[a]! || a - b);
  /** Events by the stretch of time that they lie in. */
  const taken = new Map<number, number>();
  const stretchOf = (i: number) => Math.floor(ptsSeconds[i]! / APART_SECONDS);
  const events = strong.filter((i) => {
    const stretch = stretchOf(i);
    const isNear = [stretch - 1, stretch, stretch + 1].some((near) => {
      const other = taken.get(near);
      return other !== undefined && Math.abs(ptsSeconds[other]! - ptsSeconds[i]!) < APART_SECONDS;
    });
    if (!isNear) taken.set(stretch, i);
    return !isNear;
  });
  return Array.from({ length: Math.floor(255 / ABOUT) + 1 }, (_, level) => 255 - level * ABOUT).flatMap(
    (most) => spreadInTime(events.filter((i) => change[i]! <= most && change[i]! > most - ABOUT)),
  );
}

/** In the order of their numbers with the bits reversed: 0, 8, 4, 2, 10, 6, 1 … of twelve. */
function spreadInTime(positions: readonly number[]): number[] {
  const ascending = [...positions].sort((a, b) => a - b);
  const bits = Math.ceil(Math.log2(Math.max(1, ascending.length)));
  const reverse = (number: number) => {
    let reversed = 0;
    for (let bit = 0; bit < bits; bit++) reversed |= ((number >> bit) & 1) << (bits - 1 - bit);
    return reversed;
  };
  return Array.from({ length: 2 ** bits }, (_, i) => reverse(i))
    .filter((i) => i < ascending.length)
    .map((i) => ascending[i]!);
}
