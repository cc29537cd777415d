import { Decoder } from './decoder.js';
import { NEWLINE } from './newline.js';
import { type Session, Tensor } from './session.js';
import type { Language, MultimodalRope } from './types.js';

export interface LanguageParts {
  readonly decoder: Session;
  readonly embedTokens: Session;
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  /** The newline's embedding (H), where the family has one. */
  readonly newline: Float32Array | undefined;
  readonly rope: MultimodalRope | undefined;
}

export function createLanguage({ embedTokens, newline, rope, ...parts }: LanguageParts): Language {
  const { contextLength, eosTokenIds } = parts;
  const decoder = new Decoder(parts.decoder);
  const { H } = decoder;
  return {
    ...{ H, contextLength, eosTokenIds, ...(rope && { rope }) },
    embed: async (ids) => widen(await embed(embedTokens, ids, newline), ids.length, H),
    forward: ({ embeds, S, positions }, past) => decoder.decode(embeds, S, past, positions),
  };
}

/** (S, width) → (S, H): DeepStack adds nothing to words. */
function widen(embeds: Float32Array, S: number, H: number): Float32Array {
  const width = embeds.length / S;
  if (width === H) return embeds;
  const wide = new Float32Array(S * H);
  for (let s = 0; s < S; s++) wide.set(embeds.subarray(s * width, (s + 1) * width), s * H);
  return wide;
}

/** Token ids (S) → (S, width). `NEWLINE` is no word, and has an embedding of its own. */
async function embed(
  session: Session,
  ids: readonly number[],
  newline: Float32Array | undefined,
): Promise<Float32Array> {
  const words = BigInt64Array.from(ids, (id) => BigInt(id === NEWLINE ? 0 : id));
  const out = await session.run({ input_ids: new Tensor('int64', words, [1, ids.length]) });
  const embeds = out.inputs_embeds!.data as Float32Array;
  if (newline)
    ids.forEach((id, i) => {
      if (id === NEWLINE) embeds.set(newline, i * newline.length);
    });
  return embeds;
}
