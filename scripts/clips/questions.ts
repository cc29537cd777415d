import { displacement, type Happening, type Observation, type Track } from './observe.js';
import type { Random } from './random.js';
import { COLOUR_NAMES, type Point, SHAPES } from './world.js';

export interface ClipQuestion {
  readonly question: string;
  /** A word in lower case, a number in digits, or a time such as `3.2s`. */
  readonly answer: string;
  readonly kind: QuestionKind;
  /** The moment that a `when` asks for. */
  readonly moment?: number;
}

/** The wordings of each kind; the names in braces are filled in. */
const WORDINGS = {
  colour: [
    'What colour is the {shape}?',
    'What color is the {shape}?',
    'Which colour does the {shape} have?',
    'What is the colour of the {shape}?',
  ],
  shape: [
    'What shape is the {colour} object?',
    'What is the shape of the {colour} object?',
    'Which shape does the {colour} object have?',
    'What is the {colour} object?',
  ],
  count: [
    'How many objects are there in all?',
    'How many different objects appear in the video?',
    'How many shapes can you see in all?',
    'Count all the objects.',
  ],
  presence: [
    'Is there {pair}?',
    'Is there {pair} in the video?',
    'Can you see {pair}?',
    'Does the video show {pair}?',
  ],
  direction: [
    'Which way does the {object} move?',
    'In which direction does the {object} move?',
    'Where does the {object} go?',
    'Which way is the {object} moving?',
  ],
  place: [
    'Where is the {object} relative to the {other}?',
    'Where is the {object}, seen from the {other}?',
    'On which side of the {other} is the {object}?',
    'Is the {object} left, right, above or below the {other}?',
  ],
  order: [
    'Does the {object} {change} before or after the {other} {otherChanges}?',
    'The {object} {changes}: is that before or after the {other} {otherChanges}?',
    'What colour is the {rank} object to {change}?',
    'Which colour is the object that {changes} {rank}?',
  ],
  when: [
    'When does the {object} {change}?',
    'At what time does the {object} {change}?',
    'After how many seconds does the {object} {change}?',
  ],
  flash: [
    'What colour is the flash?',
    'What colour is the light that flashes up?',
    'Which colour does the brief flash have?',
    'Something flashes up: in which colour?',
  ],
} as const satisfies Record<string, readonly string[]>;

export type QuestionKind = keyof typeof WORDINGS;

const CHANGES = { appear: 'appears', vanish: 'vanishes' } as const;

/** The answer to a question after a flash where there is none. */
export const NO_FLASH = 'none';

/** Least way of an object whose direction is asked for, and least distance of two whose places are compared. */
const LEAST_WAY = 0.18;
const LEAST_APART = 0.15;

/**
 * All questions on what was observed, in random order, each with one true answer. Colours never repeat within a scene,
 * so "the red object" is one object, and "the star" is where it is the only one. Over many scenes all answers are
 * equally likely within each kind and wording, but for the time that a `when` asks for and "none" for a flash.
 */
export function askAll(observation: Observation, random: Random): ClipQuestion[] {
  if (observation.tracks.length === 0) return askFlash(observation, random);
  return random.shuffle([
    ...askWhat(observation, random),
    ...askPresence(observation, random),
    ...askDirections(observation, random),
    ...askPlaces(observation, random),
    ...askOrder(observation, random),
    ...askWhen(observation, random),
    ...askFlash(observation, random),
  ]);
}

function fill(wording: string, names: Record<string, string>): string {
  return wording.replace(/\{(\w+)\}/g, (_, name: string) => names[name]!);
}

function isOnlyShape({ tracks }: Observation, { object }: Track): boolean {
  return tracks.filter((other) => other.object.shape === object.shape).length === 1;
}

/** "red circle", "red object", or "circle" where there is no other. */
function nameOf(observation: Observation, track: Track, random: Random): string {
  const { colour, shape } = track.object;
  const names = [`${colour} ${shape}`, `${colour} object`];
  if (isOnlyShape(observation, track)) names.push(shape);
  return random.pick(names);
}

function askWhat(observation: Observation, random: Random): ClipQuestion[] {
  const { tracks } = observation;
  const ask = (kind: 'colour' | 'shape' | 'count', answer: string, names = {}): ClipQuestion => ({
    question: fill(random.pick(WORDINGS[kind]), names),
    answer,
    kind,
  });
  return [
    ask('count', String(tracks.length)),
    ...tracks.map(({ object }) => ask('shape', object.shape, object)),
    ...tracks
      .filter((track) => isOnlyShape(observation, track))
      .map(({ object }) => ask('colour', object.colour, object)),
  ];
}

/** One pair that is there, and one that is not: half a real object's colour, half its shape. */
function askPresence({ tracks }: Observation, random: Random): ClipQuestion[] {
  const { colour, shape } = random.pick(tracks).object;
  const absent = random.shuffle(
    COLOUR_NAMES.flatMap((c) => SHAPES.map((s) => ({ colour: c, shape: s }))).filter(
      (pair) =>
        (pair.colour === colour) !== (pair.shape === shape) &&
        !tracks.some(({ object }) => object.colour === pair.colour && object.shape === pair.shape),
    ),
  );
  const asColour = random.next() < 0.5;
  const missing = absent.find((pair) => (pair.colour === colour) === asColour) ?? absent[0]!;
  const ask = (pair: { colour: string; shape: string }, answer: string): ClipQuestion => ({
    question: fill(random.pick(WORDINGS.presence), { pair: withArticle(pair) }),
    answer,
    kind: 'presence',
  });
  return [ask({ colour, shape }, 'yes'), ask(missing, 'no')];
}

function withArticle({ colour, shape }: { colour: string; shape: string }): string {
  return `${colour === 'orange' ? 'an' : 'a'} ${colour} ${shape}`;
}

function askDirections(observation: Observation, random: Random): ClipQuestion[] {
  return observation.tracks
    .filter((track) => {
      const { x, y } = displacement(track);
      return track.object.direction && Math.max(Math.abs(x), Math.abs(y)) >= LEAST_WAY;
    })
    .map((track) => ({
      question: fill(random.pick(WORDINGS.direction), { object: nameOf(observation, track, random) }),
      answer: sideOf(displacement(track), ['left', 'right', 'up', 'down']),
      kind: 'direction',
    }));
}

function sideOf({ x, y }: Point, [left, right, up, down]: readonly [string, string, string, string]): string {
  if (Math.abs(x) > Math.abs(y)) return x < 0 ? left : right;
  return y < 0 ? up : down;
}

/** Pairs of objects of which one is clearly to one side of the other, the same whenever both are there. */
function askPlaces(observation: Observation, random: Random): ClipQuestion[] {
  return random.shuffle(pairsOf(observation.tracks)).flatMap((pair): ClipQuestion[] => {
    const [track, other] = random.shuffle(pair) as [Track, Track];
    const sides = new Set(
      track.centres.flatMap((centre, i) => {
        const from = other.centres[i];
        return centre && from ? [placeOf({ x: centre.x - from.x, y: centre.y - from.y })] : [];
      }),
    );
    const [answer] = sides;
    if (!answer || sides.size > 1) return [];
    const names = {
      object: nameOf(observation, track, random),
      other: nameOf(observation, other, random),
    };
    return [{ question: fill(random.pick(WORDINGS.place), names), answer, kind: 'place' }];
  });
}

/** Undefined where it is not clear. */
function placeOf({ x, y }: Point): string | undefined {
  const [near, far] = [Math.abs(x), Math.abs(y)].sort((a, b) => a - b) as [number, number];
  if (far < LEAST_APART || far < 1.4 * near) return undefined;
  return sideOf({ x, y }, ['left', 'right', 'above', 'below']);
}

function pairsOf<T>(items: readonly T[]): [T, T][] {
  return items.flatMap((one, i) => items.slice(i + 1).map((two): [T, T] => [one, two]));
}

/** Two happenings compared; and of those that appear (or vanish) the first or the last. */
function askOrder(observation: Observation, random: Random): ClipQuestion[] {
  const pairs = pairsOf(observation.happenings).filter(
    ([a, b]) => a.moment !== b.moment && a.track !== b.track,
  );
  const compared = random.shuffle(pairs).slice(0, 2);
  return [
    ...compared.map((pair) =>
      askBeforeOrAfter(observation, random.shuffle(pair) as [Happening, Happening], random),
    ),
    ...(['appear', 'vanish'] as const).flatMap((change) => askRank(observation, change, random)),
  ];
}

function askBeforeOrAfter(
  observation: Observation,
  [one, two]: [Happening, Happening],
  random: Random,
): ClipQuestion {
  return {
    question: fill(random.pick(WORDINGS.order.slice(0, 2)), {
      object: nameOf(observation, one.track, random),
      change: one.change,
      changes: CHANGES[one.change],
      other: nameOf(observation, two.track, random),
      otherChanges: CHANGES[two.change],
    }),
    answer: one.moment < two.moment ? 'before' : 'after',
    kind: 'order',
  };
}

function askRank({ happenings }: Observation, change: 'appear' | 'vanish', random: Random): ClipQuestion[] {
  const rank = random.pick(['first', 'last'] as const);
  const inOrder = happenings
    .filter((happening) => happening.change === change)
    .sort((a, b) => (rank === 'first' ? a.moment - b.moment : b.moment - a.moment));
  const [best, next] = inOrder;
  if (!best || !next || best.moment === next.moment) return [];
  const question = fill(random.pick(WORDINGS.order.slice(2)), {
    rank,
    change,
    changes: CHANGES[change],
  });
  return [{ question, answer: best.track.object.colour, kind: 'order' }];
}

/** The answer is the moment itself for what appears, the moment before, when it was last seen, for what vanishes. */
function askWhen(observation: Observation, random: Random): ClipQuestion[] {
  return observation.happenings.map(({ track, change, moment }) => {
    const at = change === 'appear' ? moment : moment - 1;
    return {
      question: fill(random.pick(WORDINGS.when), { object: nameOf(observation, track, random), change }),
      answer: `${observation.times[at]!.toFixed(1)}s`,
      kind: 'when',
      moment: at,
    };
  });
}

function askFlash({ flash }: Observation, random: Random): ClipQuestion[] {
  return [{ question: random.pick(WORDINGS.flash), answer: flash ?? NO_FLASH, kind: 'flash' }];
}
