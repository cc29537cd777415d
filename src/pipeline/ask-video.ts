import type { KvCache, Model, Prompt, ShownVideo } from '../models/types.js';
import { generate, prefillVideo } from './generate.js';
import type { Answer, Generation, VideoTokens } from './types.js';

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
}

type AskModel = Pick<Model, 'language' | 'chat' | 'generationDefaults'>;

/** Lays the video out and prefills it, up to where the questions begin. */
export async function openPrompt(model: AskModel, tokens: VideoTokens): Promise<PrefilledVideo> {
  const { prefix } = layOut(model, tokens, '');
  return { tokens, cache: await prefillVideo(model, prefix, tokens) };
}

/**
 * Answers questions about a video one after the other; each starts from the same cache.
 *
 * @throws the signal's reason, between decode steps.
 */
export async function* askVideo(
  model: AskModel,
  { tokens, cache }: PrefilledVideo,
  questions: readonly string[],
  options: AskOptions,
): AsyncGenerator<AnswerEvent> {
  for (const [question, text] of questions.entries()) {
    options.signal?.throwIfAborted();
    const prompt = layOut(model, tokens, text);
    for await (const event of generate(model, { question: text, ...prompt }, cache, options)) {
      yield { ...event, question };
    }
  }
}

function layOut(
  { chat }: AskModel,
  { blocks, durationSeconds, isStill, inCrops, cropGrid }: VideoTokens,
  question: string,
): Prompt {
  const video: ShownVideo = {
    ptsSeconds: blocks.map(({ ptsSeconds }) => ptsSeconds),
    durationSeconds,
    isStill,
    inCrops,
    ...(cropGrid && { cropGrid }),
  };
  return chat.layOut(video, question);
}
