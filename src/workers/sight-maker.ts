import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Sight, SightFrame } from '../../queues/sight.js';
import { shrinkToWebp } from '../media/image.js';
import type { Frame } from '../media/types.js';
import type { Grid } from '../models/pool.js';
import type { Model } from '../models/types.js';
import { groupByFrame } from '../pipeline/encode-video.js';
import type { Onlooker, Reuse, SampledFrame, VideoTokens } from '../pipeline/types.js';
import { patchesOf } from './patches.js';

/** What was seen of a video, on its way to Redis. */
export interface PackedSight {
  /** See `AnswerOutcome.used`. */
  readonly name: string;
  /** In base64: see `Sight`. */
  readonly content: string;
  /** Whether its frames were decoded now; else it has no pictures, and one that was kept before is better. */
  readonly isNew: boolean;
}

/** Longer edge of a picture, in pixels, where the tower does not see less. */
const EDGE = 192;
/** Frames of a longer video that get pictures, evenly spread. */
export const PICTURES = 64;
/** Pictures under way at a time: each holds a whole frame. */
const AT_ONCE = 4;
interface Size {
  readonly width: number;
  readonly height: number;
}

/** A picture in base64. */
export interface Small extends Size {
  readonly picture: string;
}

/** What a sight may take as it is kept, in bytes; above it has no pictures, or is none. */
const LIMIT = 2 * 2 ** 20;

const pack = promisify(gzip);
type SightVision = Pick<Model['vision'], 'show' | 'cls' | 'grid'>;

export interface SightListener {
  tell(sight: PackedSight): void;
  /** Asked of a video whose frames are not decoded now, before it is described: of a long one that takes a while. */
  isWanted(name: string): Promise<boolean>;
}

/** Makes what was seen of a video while it is encoded: pictures are encoded beside the tower's runs. */
export class SightMaker implements Onlooker {
  readonly #vision: SightVision;
  readonly #listener: SightListener;
  /** Of the video that is being encoded, by the position of its frame. */
  #pictures = new Map<number, Promise<Small | null>>();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #made: Promise<void>[] = [];

  constructor(vision: SightVision, listener: SightListener) {
    this.#vision = vision;
    this.#listener = listener;
  }

  async onFrame(
    frame: Frame,
    { frames, grid }: { readonly frames: number; readonly grid: Grid },
  ): Promise<void> {
    if (!hasPicture(frame.index, frames)) return;
    while (this.#underWay.size >= AT_ONCE) await Promise.race(this.#underWay);
    const picture = drawSmall(this.#vision, frame, grid).catch(() => null); // It is no fault of the job.
    this.#pictures.set(frame.index, picture);
    this.#underWay.add(picture);
    picture.finally(() => this.#underWay.delete(picture));
  }

  onVideo(name: string, tokens: VideoTokens, reused: Reuse): void {
    const pictures = this.#pictures;
    this.#pictures = new Map();
    this.#made.push(this.#make(name, tokens, pictures, reused === 'none').catch(() => {}));
  }

  /** Resolves once all that was seen is told. */
  async end(): Promise<void> {
    await Promise.all(this.#made);
  }

  async #make(
    name: string,
    tokens: VideoTokens,
    pictures: ReadonlyMap<number, Promise<Small | null>>,
    isNew: boolean,
  ): Promise<void> {
    if (!isNew && !(await this.#listener.isWanted(name))) return;
    const drawn = await Promise.all(
      [...pictures].map(async ([index, picture]) => [index, await picture] as const),
    );
    for (const some of drawn.length > 0 ? [drawn, []] : [[]]) {
      const packed = await pack(JSON.stringify(describeSight(tokens, this.#vision, new Map(some))), {
        level: 1,
      });
      if (packed.length > LIMIT) continue;
      this.#listener.tell({ name, content: packed.toString('base64'), isNew });
      return;
    }
  }
}

/** Whether a frame is one of those that get pictures. */
function hasPicture(index: number, frames: number): boolean {
  if (frames <= PICTURES) return true;
  const nth = Math.round((index * (PICTURES - 1)) / (frames - 1));
  return index === Math.round((nth * (frames - 1)) / (PICTURES - 1));
}

async function drawSmall(vision: SightVision, frame: Frame, grid: Grid): Promise<Small> {
  const { rgb, width, height } = await vision.show(frame, grid);
  const { bytes, ...size } = await shrinkToWebp(rgb, width, height, EDGE);
  return { ...size, picture: bytes.toString('base64') };
}

/** Of pictures that there are not: patches are squares. */
function sizeOf({ rows, columns }: Grid): Size {
  const edge = EDGE / Math.max(rows, columns);
  return { width: toPixels(columns * edge), height: toPixels(rows * edge) };
}

function toPixels(size: number): number {
  return Math.max(1, Math.round(size));
}

/** What was seen, by where each token came from. */
export function describeSight(
  tokens: Pick<VideoTokens, 'blocks' | 'frames' | 'grid' | 'tokensBefore' | 'framesTogether'>,
  vision: Pick<Model['vision'], 'cls' | 'grid'>,
  pictures: ReadonlyMap<number, Small | null>,
): Sight {
  const { blocks, frames, grid, tokensBefore, framesTogether } = tokens;
  const groups = Math.ceil(frames.length / framesTogether);
  const blocksOf = new Map(groupByFrame(blocks).map((group) => [group[0].span.first, group]));
  const describe = (frame: SampledFrame): SightFrame => {
    const { index, ptsSeconds, sameAs = frame.takenWith, tokens: tokensAfter } = frame;
    const own = blocksOf.get(index) ?? [];
    const origins = own.flatMap((block) => block.origins);
    const { static: shared, ...patches } = patchesOf({ origins, grid: own[0]?.grid ?? grid }, vision);
    return {
      ...{ index, ptsSeconds, picture: pictures.get(index)?.picture ?? null },
      ...(sameAs !== undefined && { sameAs }),
      ...patches,
      ...(shared.length > 0 && { static: shared }),
      tokensBefore: index % framesTogether === 0 ? Math.round(tokensBefore / groups) : 0,
      tokensAfter,
    };
  };
  const { width, height } = [...pictures.values()].find((one) => one !== null) ?? sizeOf(grid);
  return { version: 1, width, height, grid, frames: frames.map(describe) };
}
