import { InputError } from '../errors.js';
import type { Model, PromptPart } from '../models/types.js';

/** The prompt of one question, split after the last visual token. */
export interface Prompt {
  /**
   * What all questions on a video share. Token ids; `imageTokenId` stands once for each frame, where its
   * visual tokens go.
   */
  readonly prefix: readonly number[];
  /** The question and the rest of the template. */
  readonly suffix: readonly number[];
}

type PromptModel = Pick<
  Model,
  | 'renderChat'
  | 'tokenize'
  | 'imageTokenId'
  | 'frameTimes'
  | 'specialTokens'
  | 'video'
  | 'sentences'
  | 'newline'
>;

/**
 * Renders the model's chat template: the frames in order, each after its time where the model was trained
 * so (`1.5s`), then the question. Throws an InputError when the question holds a special token.
 */
export function buildPrompt(
  model: PromptModel,
  ptsSeconds: readonly number[],
  question: string,
  durationSeconds = ptsSeconds.at(-1)!,
): Prompt {
  const special = model.specialTokens.find((token) => question.includes(token));
  if (special) {
    throw new InputError(
      `a question is plain text, this one holds the model's special token \`${special}\``,
      { fault: 'question' },
    );
  }
  const chat = model.renderChat([
    ...frameParts(model, ptsSeconds, durationSeconds),
    { type: 'text', text: question.trim() },
  ]);
  const ids = placeFrames(model, model.tokenize(chat), ptsSeconds.length);
  const places = ids.filter((id) => id === model.imageTokenId).length;
  if (places !== ptsSeconds.length) {
    throw new InputError(
      `the model's chat template must give ${ptsSeconds.length} image tokens, it gave ${places}`,
      { fault: 'model' },
    );
  }
  const last = model.newline ? model.newline.id : model.imageTokenId;
  const end = ids.lastIndexOf(last) + 1;
  if (end === ids.length && question.trim() !== '') {
    throw new InputError("the model's chat template or tokenizer leaves no token of the question", {
      fault: 'model',
    });
  }
  return { prefix: ids.slice(0, end), suffix: ids.slice(end) };
}

function frameParts(
  model: PromptModel,
  ptsSeconds: readonly number[],
  durationSeconds: number,
): PromptPart[] {
  const { frameTimes, video, sentences } = model;
  if (video) return [{ type: 'video' }];
  if (sentences) return inSentences(ptsSeconds, durationSeconds);
  return ptsSeconds.flatMap((seconds): PromptPart[] =>
    frameTimes ? [{ type: 'text', text: `${seconds.toFixed(1)}s` }, { type: 'image' }] : [{ type: 'image' }],
  );
}

/** One image token for each frame where the template gave one for the whole video, and the newlines. */
function placeFrames(
  { imageTokenId, video, newline }: PromptModel,
  ids: readonly number[],
  frames: number,
): number[] {
  const frame = newline?.after === 'frame' ? [imageTokenId, newline.id] : [imageTokenId];
  const all = Array.from({ length: frames }, () => frame).flat();
  if (newline?.after === 'video') all.push(newline.id);
  if (video) return ids.flatMap((id) => (id === video.tokenId ? all : [id]));
  return ids.flatMap((id) => (id === imageTokenId ? frame : [id]));
}

/** What SmolVLM2's processor makes of a video: how many frames of how long a video, and the time of each. */
function inSentences(ptsSeconds: readonly number[], durationSeconds: number): PromptPart[] {
  const count = inWords(ptsSeconds.length);
  const text = (words: string): PromptPart => ({ type: 'text', text: words });
  return [
    text(
      `You are provided the following series of ${count} frames from a ${hours(durationSeconds)} [H:MM:SS] video.\n`,
    ),
    ...ptsSeconds.flatMap((pts): PromptPart[] => [
      text(`\nFrame from ${minutes(pts)}:<fake_token_around_image><global-img>`),
      { type: 'image' },
      text('<fake_token_around_image>'),
    ]),
    text('\n\n'),
  ];
}

/** 75.9 → 01:15 */
function minutes(seconds: number): string {
  const whole = Math.floor(seconds);
  return [Math.floor(whole / 60), whole % 60].map((part) => String(part).padStart(2, '0')).join(':');
}

/** 75.9 → 0:01:15 */
function hours(seconds: number): string {
  return `${Math.floor(seconds / 3600)}:${minutes(seconds % 3600)}`;
}

const SMALL =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen ' +
  'seventeen eighteen nineteen';
const TENS = 'twenty thirty forty fifty sixty seventy eighty ninety';

/** A number below 1,000 in English words, as SmolVLM was trained to read it. */
function inWords(count: number): string {
  if (count < 20) return SMALL.split(' ')[count]!;
  if (count >= 1000) return String(count);
  if (count >= 100) {
    const rest = count % 100 === 0 ? '' : ` and ${inWords(count % 100)}`;
    return `${inWords(Math.floor(count / 100))} hundred${rest}`;
  }
  const tens = TENS.split(' ')[Math.floor(count / 10) - 2]!;
  return count % 10 === 0 ? tens : `${tens}-${inWords(count % 10)}`;
}
