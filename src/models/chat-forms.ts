import { InputError } from '../errors.js';
import type { PromptPart } from './types.js';

/**
 * One way to fill in a chat template: a user's message, and the texts of the messages behind it, the assistant's and the user's
 * in turn. Throws where the template does not take contents written so.
 */
export type Form = (parts: readonly PromptPart[], later: readonly string[]) => string;

/** The ways to try, the usual one first: for one message, and for several. */
export interface Forms {
  readonly one: readonly Form[];
  readonly several: readonly Form[];
  /** The text of the image token. */
  readonly imageToken: string;
}

/**
 * Fills in the template in the first form that shows every message and every picture. Where none shows every picture, the last
 * one counts that shows the messages.
 *
 * @param parts the last of them is the question, where anything was said later.
 * @throws what the first form threw, where all do; an InputError (fault `model`) where none shows every message.
 */
export function fillIn(forms: Forms, parts: readonly PromptPart[], later: readonly string[]): string {
  const images = parts.filter(({ type }) => type === 'image').length;
  const ways = later.length > 0 ? forms.several : forms.one;
  const errors: unknown[] = [];
  let filled: string | undefined;
  for (const form of ways) {
    try {
      if (later.length > 0 && !showsTurns(form, parts, later.length)) continue;
      filled = form(parts, later);
      if (filled.split(forms.imageToken).length - 1 >= images) return filled;
    } catch (error) {
      errors.push(error);
    }
  }
  if (filled !== undefined) return filled;
  throw errors.length === ways.length ? errors[0] : severalTurns(errors[0]);
}

/** Whether a form shows all messages in order. Seen by texts that stand in no template: `A` stands in `ASSISTANT:`. */
function showsTurns(form: Form, parts: readonly PromptPart[], later: number): boolean {
  const [first, ...rest] = Array.from({ length: 1 + later }, (_, i) => `visionzip-turn-${i}.`);
  const filled = form(parts.with(-1, { type: 'text', text: first! }), rest);
  let at = 0;
  return [first!, ...rest].every((text) => {
    const found = filled.indexOf(text, at);
    at = found + text.length;
    return found >= 0;
  });
}

function severalTurns(cause: unknown): InputError {
  return new InputError(
    "the model's chat template cannot show what was asked and answered before: expected it to write each question and answer in order; ask without `history`",
    { fault: 'model', cause },
  );
}
