import { type ChatParts, createChat } from '../src/models/chat.js';
import type { Form } from '../src/models/chat-forms.js';
import type { Chat, KvCache, Model, Vision } from '../src/models/types.js';

export interface FakeModelOptions extends Partial<Pick<ChatParts, 'frameTimes'> & Pick<Chat, 'render'>> {
  readonly contextLength?: number;
  readonly vision?: Partial<Vision>;
  readonly onnxMs?: () => number;
  readonly generationDefaults?: Partial<Model['generationDefaults']>;
}

/** Logits of some characters of ASCII; all others have 0. */
type Logits = Readonly<Record<string, number>>;
/** What comes after a question: a text, byte for byte, or the logits of one run after the other. */
type Reply = string | Logits | readonly Logits[];

/** What the fake decoder was asked, in order. */
export interface DecodeCall {
  readonly S: number;
  readonly before: number;
  /** First number of each embedding: the token's id, or the visual token's own first number. */
  readonly rows: readonly number[];
}

/**
 * A model with a byte tokenizer and no weights: width 1, an embedding is the token's id, and after each
 * question the queued reply comes out token for token. Byte 0 is end-of-sequence, 256 the image token.
 */
export function fakeModel(
  replies: readonly Reply[],
  options: FakeModelOptions = {},
): Model & { readonly calls: DecodeCall[] } {
  const calls: DecodeCall[] = [];
  const queue: (number | Logits)[][] = replies.map((reply) =>
    typeof reply === 'string' ? [...new TextEncoder().encode(reply), 0] : [reply].flat(),
  );
  let current: (number | Logits)[] = [];
  let reply: (number | Logits)[] = [];
  let wasQuestion = false;
  const logitsOf = (next: number | Logits) => {
    const logits = new Float32Array(257);
    if (typeof next === 'number') logits[next] = 1;
    else for (const [character, logit] of Object.entries(next)) logits[character.charCodeAt(0)] = logit;
    return logits;
  };
  const render: Form =
    options.render ??
    ((parts, later) =>
      [...parts.map((part) => (part.type === 'text' ? part.text : '<image>')), ...later].join(''));
  const { contextLength = 512, frameTimes = true, onnxMs = () => 0 } = options;
  return {
    calls,
    name: 'fake',
    digest: 'fake',
    dtype: 'fp32',
    defaults: { frames: 4, compression: { dominant: 2, contextual: 1 } },
    generationDefaults: {
      ...{ samples: false, temperature: 1, topK: 50, topP: 1, repetitionPenalty: 1 },
      ...options.generationDefaults,
    },
    vision: {
      ...{ cls: true, keepsCls: false, compressible: true, P: 4, grid: { rows: 2, columns: 2 } },
      inRasterOrder: false,
      show: async (frame) => frame,
      prepare: async ({ index, ptsSeconds, rgb }) => ({
        index,
        ptsSeconds,
        pixelValues: Float32Array.from(rgb.slice(0, 3)),
      }),
      encode: async (frames) =>
        frames.map(({ index, ptsSeconds }) => ({
          index,
          ptsSeconds,
          N: 5,
          D: 1,
          K: 1,
          hidden: Float32Array.of(1000, 1001, 1002, 1003, 1004).map((value) => value + 10 * index),
          keys: new Float32Array(5).fill(1),
          scores: Float32Array.of(1, 2, 3, 4),
        })),
      project: async (tokens) => tokens,
      ...options.vision,
    },
    language: {
      ...{ H: 1, contextLength, eosTokenIds: [0] },
      embed: async (ids) => Float32Array.from(ids),
      forward: async ({ embeds, S }, past: KvCache | null) => {
        const before = past?.length ?? 0;
        calls.push({ S, before, rows: [...embeds] });
        const video = calls.findLast((call) => call.before === 0)!;
        // A question comes right after the video, or in parts after it; one token after that is one of its decode steps.
        const isQuestion = before >= video.S && (before === video.S || S > 1);
        const goesOn = isQuestion && wasQuestion && before > video.S;
        if (isQuestion && !goesOn) reply = queue.shift() ?? [0];
        if (isQuestion) current = [...reply];
        wasQuestion = isQuestion;
        return {
          logits: logitsOf(current.shift() ?? 0),
          cache: { length: before + S, nextPosition: before + S, bytes: 4 * (before + S), tensors: {} },
        };
      },
    },
    chat: createChat({
      ...{ frames: 'images', frameTimes, imageTokenId: 256, specialTokens: ['<image>'] },
      forms: { one: [render], several: [render], imageToken: '<image>' },
      tokenize: (text) =>
        text
          .split(/(<image>)/)
          .flatMap((part) => (part === '<image>' ? [256] : [...new TextEncoder().encode(part)])),
      detokenize: (ids) => new TextDecoder().decode(Uint8Array.from(ids)),
    }),
    onnxMs,
    release: async () => {},
  };
}
