import type { ResultDocument } from '../../../queues/schemas.js';
import type { StreamEvent } from '../../../queues/transcript.js';

export interface Heard {
  /** Of each question what was generated so far. */
  readonly texts: readonly string[];
  readonly document: ResultDocument | null;
}

export const nothing: Heard = { texts: [], document: null };

/** What was heard, and one thing more. */
export function hear(heard: Heard, event: StreamEvent): Heard {
  if (event.type === 'restart') return nothing;
  if (event.type === 'document') return { ...heard, document: event.document };
  // The server ends a stream that failed with a sentence of its own.
  if (event.type !== 'text' && event.type !== 'answer') return heard;
  const texts = [...heard.texts];
  const before = texts[event.question] ?? '';
  if (event.type === 'answer') texts[event.question] = event.answer.answer;
  else texts[event.question] = before === '' ? event.text.trimStart() : before + event.text;
  return { ...heard, texts };
}
