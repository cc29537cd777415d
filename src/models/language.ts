import { Decoder } from './decoder.js';
import { NEWLINE } from './newline.js';
import { type Session, Tensor } from './session.js';
import type { Language } from './types.js';

export interface LanguageParts {
  readonly decoder: Session;
  readonly embedTokens: Session;
  readonly contextLength: number;
  readonly eosTokenIds: readonly number[];
  /** The newline's embedding (H), where the family has one. */
  readonly newline: Float32Array | undefined;
}

export function createLanguage({ embedTokens, newline, ...parts }: LanguageParts): Language {
  const { contextLength, eosTokenIds } = parts;
  const decoder = new Decoder(parts.decoder);
  return {
    H: decoder.H,
    contextLength,
    eosTokenIds,
    embed: (ids) => embed(embedTokens, ids, newline),
    forward: ({ embeds, S }, past) => decoder.decode(embeds, S, past),
  };
}

/** Token ids (S) → (S, H). `NEWLINE` is no word, and has an embedding of its own. */
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
