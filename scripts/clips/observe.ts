import { type Colour, centreAt, isSeen, type Point, type Scene, type SceneObject } from './world.js';

/** One object through the moments: its centre, or undefined where it is not there. */
export interface Track {
  readonly object: SceneObject;
  readonly centres: readonly (Point | undefined)[];
}

/** An object that appears or vanishes; `moment` is the first with the new state. */
export interface Happening {
  readonly track: Track;
  readonly change: 'appear' | 'vanish';
  readonly moment: number;
}

/** What is to be seen of a scene at some moments; questions ask about this and nothing else. */
export interface Observation {
  /** Of the moments, seconds, ascending. */
  readonly times: readonly number[];
  /** The objects that are seen at one moment at least. */
  readonly tracks: readonly Track[];
  readonly happenings: readonly Happening[];
  /** Undefined where no moment shows one. */
  readonly flash: Colour | undefined;
}

/** `frames` may run backwards, as a clip played so would show; `times` says when each is seen. */
export function observe(scene: Scene, frames: readonly number[], times: readonly number[]): Observation {
  const tracks = scene.objects
    .map((object) => ({
      object,
      centres: frames.map((frame) =>
        isSeen(object, frame) ? centreAt(object, frame, scene.frameCount) : undefined,
      ),
    }))
    .filter(({ centres }) => centres.some(Boolean));
  const { flash } = scene;
  const flashIsSeen = flash && frames.some((frame) => isSeen(flash, frame));
  return {
    times,
    tracks,
    happenings: tracks.flatMap(happeningsOf),
    flash: flashIsSeen ? flash.colour : undefined,
  };
}

function happeningsOf(track: Track): Happening[] {
  const first = track.centres.findIndex(Boolean);
  const last = track.centres.findLastIndex(Boolean);
  const happenings: Happening[] = [];
  if (first > 0) happenings.push({ track, change: 'appear', moment: first });
  if (last < track.centres.length - 1) happenings.push({ track, change: 'vanish', moment: last + 1 });
  return happenings;
}

/** From where an object is first seen to where it is last seen. */
export function displacement({ centres }: Track): Point {
  const seen = centres.filter((centre) => centre !== undefined);
  const [from, to] = [seen[0]!, seen.at(-1)!];
  return { x: to.x - from.x, y: to.y - from.y };
}
