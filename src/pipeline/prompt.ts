import { InputError } from './errors.js';
import type { Model, PromptPart } from './model.js';

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

type PromptModel = Pick<Model, 'renderChat' | 'tokenize' | 'imageTokenId' | 'frameTimes' | 'specialTokens'>;

/**
 * Renders the model's chat template: the frames in order, each after its time where the model was trained
 * so (`1.5s`), then the question. Throws an InputError when the question holds a special token.
 */
export function buildPrompt(model: PromptModel, ptsSeconds: readonly number[], question: string): Prompt {
  const special = model.specialTokens.find((token) => question.includes(token));
  if (special) {
    throw new InputError(`a question is plain text, this one holds the model's special token \`${special}\``);
  }
  const parts: PromptPart[] = ptsSeconds.flatMap((seconds): PromptPart[] =>
    model.frameTimes
      ? [{ type: 'text', text: `${seconds.toFixed(1)}s` }, { type: 'image' }]
      : [{ type: 'image' }],
  );
  const ids = model.tokenize(model.renderChat([...parts, { type: 'text', text: question.trim() }]));
  const places = ids.filter((id) => id === model.imageTokenId).length;
  if (places !== ptsSeconds.length) {
    throw new Error(`the chat template must give ${ptsSeconds.length} image tokens, it gave ${places}`);
  }
  const end = ids.lastIndexOf(model.imageTokenId) + 1;
  return { prefix: ids.slice(0, end), suffix: ids.slice(end) };
}
