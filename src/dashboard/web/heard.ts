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
  const texts = [...heard.texts];
  const before = texts[event.question] ?? '';
  texts[event.question] = event.type === 'text' ? (before + event.text).trimStart() : event.answer.answer;
  return { ...heard, texts };
}
