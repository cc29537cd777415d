import { InputError } from '../errors.js';
import { type Forms, fillIn } from './chat-forms.js';
import { markPictures } from './families/lfm2-vl.js';
import { tellTimes, type VideoMarks } from './families/qwen-vl.js';
import { describeInSentences, wrapPictures } from './families/smolvlm.js';
import type { Manifest } from './manifest.js';
import { NEWLINE } from './newline.js';
import type { Chat, Prompt, PromptPart, ShownVideo } from './types.js';

/** What a chat is made of. */
export interface ChatParts extends Omit<Chat, 'layOut' | 'render'> {
  /** How its template is filled in. */
  readonly forms: Forms;
  /** How it shows the frames; see the manifest. */
  readonly frames: Manifest['frames'];
  /** How it shows a still picture; default as a frame. */
  readonly still?: 'image' | 'frame';
  /** Whether each picture's time is written before it (`1.5s`). */
  readonly frameTimes: boolean;
  /** In whose place all frames go, where they are shown as one video. */
  readonly videoTokenId?: number;
  /** The tokens around it, where times are told. */
  readonly videoMarks?: VideoMarks;
  /** Where a learned embedding, the newline, stands. */
  readonly newline?: 'frame' | 'video';
  /** Strings that the tokenizer turns into tokens of their own; a question must not hold one. */
  readonly specialTokens: readonly string[];
}

export function createChat(parts: ChatParts): Chat {
  const { forms, imageTokenId, tokenize, detokenize } = parts;
  return {
    ...{ imageTokenId, tokenize, detokenize },
    render: (said, later = []) => fillIn(forms, said, later),
    layOut: (video, question, history = []) =>
      layOut(video.inCrops ? { ...parts, newline: undefined } : parts, video, [
        ...history.flatMap((turn) => [turn.question, turn.answer]),
        question,
      ]),
  };
}

/**
 * Renders the template: the frames in order, each after its time where the model was trained so, then the question.
 *
 * @param messages the user's and the assistant's in turn; the last one is the question.
 */
function layOut(parts: ChatParts, video: ShownVideo, messages: readonly string[]): Prompt {
  const { imageTokenId, newline } = parts;
  const count = video.ptsSeconds.length;
  for (const text of messages) refuseSpecialTokens(parts, text);
  const [first, ...later] = messages.map((text) => text.trim()) as [string, ...string[]];
  const chat = fillIn(parts.forms, [...showFrames(parts, video), { type: 'text', text: first }], later);
  const ids = placeFrames(parts, parts.tokenize(complete(parts, video, chat)), count);
  const places = ids.filter((id) => id === imageTokenId).length;
  if (places !== count) {
    throw new InputError(`the model's chat template must give ${count} image tokens, it gave ${places}`, {
      fault: 'model',
    });
  }
  const end = ids.lastIndexOf(newline ? NEWLINE : imageTokenId) + 1;
  if (end === ids.length && messages.some((text) => text.trim() !== '')) {
    throw new InputError("the model's chat template or tokenizer leaves no token of the question", {
      fault: 'model',
    });
  }
  return { prefix: ids.slice(0, end), suffix: ids.slice(end) };
}

function refuseSpecialTokens({ specialTokens }: ChatParts, question: string): void {
  const special = specialTokens.find((token) => question.includes(token));
  if (special === undefined) return;
  throw new InputError(`a question is plain text, this one holds the model's special token \`${special}\``, {
    fault: 'question',
  });
}

/** What the family's processor adds to what the template gave. */
function complete({ frames, videoMarks }: ChatParts, video: ShownVideo, chat: string): string {
  if (frames === 'wrapped' || (frames === 'sentences' && video.isStill))
    return wrapPictures(chat, video.cropGrid);
  if (frames === 'marked') return markPictures(chat);
  return videoMarks && frames === 'timed' ? tellTimes(chat, videoMarks, video.ptsSeconds) : chat;
}

function showFrames({ frames, still, frameTimes }: ChatParts, video: ShownVideo): PromptPart[] {
  if (video.cropGrid || (video.isStill && still === 'image')) return [{ type: 'image' }];
  if (frames === 'video' || frames === 'timed') return [{ type: 'video' }];
  if (frames === 'sentences') return video.isStill ? [{ type: 'image' }] : describeInSentences(video);
  return video.ptsSeconds.flatMap((seconds): PromptPart[] =>
    frameTimes ? [{ type: 'text', text: `${seconds.toFixed(1)}s` }, { type: 'image' }] : [{ type: 'image' }],
  );
}

/** One image token for each frame where the template gave one for the whole video, and the newlines. */
function placeFrames(
  { frames, imageTokenId, videoTokenId, newline }: ChatParts,
  ids: readonly number[],
  count: number,
): number[] {
  const frame = newline === 'frame' ? [imageTokenId, NEWLINE] : [imageTokenId];
  const all = Array.from({ length: count }, () => frame).flat();
  if (newline === 'video') all.push(NEWLINE);
  if (frames === 'video' && ids.includes(videoTokenId!))
    return ids.flatMap((id) => (id === videoTokenId ? all : [id]));
  if (frames === 'timed') return ids.map((id) => (id === videoTokenId ? imageTokenId : id));
  return ids.flatMap((id) => (id === imageTokenId ? frame : [id]));
}
