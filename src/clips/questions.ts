import { createRandom, type Random } from './random.js';
import type { Scene, SceneObject } from './world.js';

export const QUESTION_KINDS = ['colour', 'shape', 'count', 'direction'] as const;
export type QuestionKind = (typeof QUESTION_KINDS)[number];

export interface ClipQuestion {
  readonly question: string;
  /** One word in lower case, or a number in digits. */
  readonly answer: string;
  readonly kind: QuestionKind;
}

/** The wordings of each kind; {object}, {shape} and {colour} stand for the names. */
export const WORDINGS: Record<QuestionKind, readonly string[]> = {
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
    'How many objects are there?',
    'How many objects are in the video?',
    'How many shapes can you see?',
    'Count the objects.',
  ],
  direction: [
    'Which way does the {object} move?',
    'In which direction does the {object} move?',
    'Where does the {object} go?',
    'Which way is the {object} moving?',
  ],
};

/**
 * Questions on a scene, one of each kind in random order and then up to `extra` more on other objects. No question has
 * more than one true answer: a colour is asked only of a shape that occurs once, a direction only of what moves.
 */
export function sampleQuestions(scene: Scene, extra = 2): ClipQuestion[] {
  const random = createRandom(`${scene.seed}/questions`);
  const { objects } = scene;
  const count = ask(random, 'count', undefined, String(objects.length));
  const askEach = (kind: QuestionKind, asked: readonly SceneObject[], answer: (o: SceneObject) => string) =>
    random
      .shuffle(asked)
      .map((object) => ask(random, kind, object, answer(object), isOnlyShape(scene, object)));
  const [colour, ...moreColours] = askEach(
    'colour',
    objects.filter((object) => isOnlyShape(scene, object)),
    (object) => object.colour,
  );
  const [shape, ...moreShapes] = askEach('shape', objects, (object) => object.shape);
  const [direction, ...moreDirections] = askEach(
    'direction',
    objects.filter((object) => object.direction),
    (object) => object.direction as string,
  );
  const first = [colour, shape, count, direction].filter((question) => question !== undefined);
  const more = [...moreColours, ...moreShapes, ...moreDirections];
  return [...random.shuffle(first), ...random.shuffle(more).slice(0, extra)];
}

function isOnlyShape(scene: Scene, object: SceneObject): boolean {
  return scene.objects.filter((other) => other.shape === object.shape).length === 1;
}

/** Colours never repeat within a scene, so "the red object" is one object, and "the star" is where it is the only one. */
function ask(
  random: Random,
  kind: QuestionKind,
  object: SceneObject | undefined,
  answer: string,
  onlyShape = false,
): ClipQuestion {
  let question = random.pick(WORDINGS[kind]);
  if (object) {
    const names = [`${object.colour} ${object.shape}`, `${object.colour} object`];
    if (onlyShape) names.push(object.shape);
    question = question
      .replace('{object}', random.pick(names))
      .replace('{shape}', object.shape)
      .replace('{colour}', object.colour);
  }
  return { question, answer, kind };
}
