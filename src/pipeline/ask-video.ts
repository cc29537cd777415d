import type { KvCache, Model, Prompt, ShownVideo, Turn } from '../models/types.js';
import { chooseOption } from './choose-option.js';
import { type Conversation, cutsOf } from './conversation.js';
import { type AskedQuestion, defaultMaxNewTokens, generate, prefillVideo } from './generate.js';
import { renderQuestion } from './questions.js';
import type { Answer, Generation, Question, VideoTokens } from './types.js';

/** A video in the language model: what all questions about it begin with. */
export interface PrefilledVideo {
  readonly tokens: VideoTokens;
  readonly cache: KvCache;
}

/** What is heard while questions are answered; each question ends with its `answer`. */
export type AnswerEvent =
  | { readonly type: 'firstToken'; readonly question: number }
  | { readonly type: 'text'; readonly question: number; readonly text: string }
  | { readonly type: 'answer'; readonly question: number; readonly answer: Answer };

export interface AskOptions {
  readonly generation: Generation;
  readonly signal?: AbortSignal;
  /** What was asked and answered before each of the questions, the oldest first; default nothing. */
  readonly history?: readonly Turn[];
  /** Goes on from where the latest question lies prefilled, where this one begins with it; it changes no answer. */
  readonly conversation?: Conversation;
}

type AskModel = Pick<Model, 'language' | 'chat' | 'generationDefaults'>;

/** Lays the video out and prefills it, up to where the questions begin. */
export async function openPrompt(model: AskModel, tokens: VideoTokens): Promise<PrefilledVideo> {
  const { prefix } = layOut(model, tokens, '');
  return { tokens, cache: await prefillVideo(model, prefix, tokens) };
}

/**
 * Answers questions about a video one after the other; each starts from the same cache. One with options is answered by a letter.
 *
 * @throws the signal's reason, between decode steps.
 */
export async function* askVideo(
  model: AskModel,
  { tokens, cache }: PrefilledVideo,
  questions: readonly Question[],
  options: AskOptions,
): AsyncGenerator<AnswerEvent> {
  for (const [question, asked] of questions.entries()) {
    options.signal?.throwIfAborted();
    const text = renderQuestion(asked);
    const { turnsDropped, ...prompt } = converse(model, { tokens, cache }, text, options);
    const events =
      typeof asked === 'string'
        ? generate(model, { ...prompt, question: asked }, cache, options)
        : chooseOption(model, { ...prompt, ...asked }, cache, options);
    for await (const event of events) {
      if (event.type !== 'answer' || turnsDropped === 0) yield { ...event, question };
      else yield { ...event, question, answer: { ...event.answer, turnsDropped } };
    }
  }
}

/** A question behind as much of its history as the context has room for beside the video and the answer. */
function converse(
  model: AskModel,
  { tokens, cache }: PrefilledVideo,
  question: string,
  { history = [], generation }: AskOptions,
): AskedQuestion & { readonly turnsDropped: number } {
  const { maxNewTokens = defaultMaxNewTokens } = generation;
  const room = model.language.contextLength - maxNewTokens - cache.length;
  const behind = (dropped: number) => layOut(model, tokens, question, history.slice(dropped));
  // The fewest turns to drop; each makes the prompt shorter.
  let [turnsDropped, most] = [0, history.length];
  while (turnsDropped < most) {
    const middle = (turnsDropped + most) >> 1;
    if (behind(middle).suffix.length > room) turnsDropped = middle + 1;
    else most = middle;
  }
  const turns = history.slice(turnsDropped);
  const prompt = behind(turnsDropped);
  const before = turns.map((turn, i) => layOut(model, tokens, turn.question, turns.slice(0, i)).suffix);
  return { question, ...prompt, cuts: cutsOf([...before, prompt.suffix]), turnsDropped };
}

function layOut(
  { chat }: AskModel,
  { blocks, durationSeconds, isStill, inCrops, cropGrid }: VideoTokens,
  question: string,
  history: readonly Turn[] = [],
): Prompt {
  const video: ShownVideo = {
    ptsSeconds: blocks.map(({ ptsSeconds }) => ptsSeconds),
    durationSeconds,
    isStill,
    inCrops,
    ...(cropGrid && { cropGrid }),
  };
  return chat.layOut(video, question, history);
}
