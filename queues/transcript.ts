import type { Result, ResultDocument } from './schemas.js';
import type { TextMessage, TextPiece } from './text.js';

/** What is heard of a job under way. `question` is its place in the job. */
export type StreamEvent =
  /** Text that was added to an answer: together the answer, but for white space around it. */
  | { readonly type: 'text'; readonly question: number; readonly text: string }
  /** An answer is whole. */
  | { readonly type: 'answer'; readonly question: number; readonly answer: Result['answers'][number] }
  /** What was heard so far does not count: the job is tried again, and its text begins anew. */
  | { readonly type: 'restart' }
  /** The last one. */
  | { readonly type: 'document'; readonly document: ResultDocument };

/**
 * Makes of a job's messages, which may get lost or come twice, events without a gap, and of its document what is left. After
 * the last `restart` the texts are those of the document's answers.
 */
export class Transcript {
  #attempt: string | null = null;
  #next = 0;
  #isEmpty = true;
  /** Of each question, by its place. */
  readonly #texts = new Map<number, string>();
  readonly #whole = new Set<number>();

  /** The number of the message that is needed next. */
  get next(): number {
    return this.#next;
  }

  isOf(attempt: string): boolean {
    return this.#attempt === attempt;
  }

  /** Null where messages before this one are missing. */
  hear({ attempt, number, pieces }: TextMessage): StreamEvent[] | null {
    const isOther = attempt !== this.#attempt;
    if (!isOther && number < this.#next) return [];
    if (number > (isOther ? 0 : this.#next)) return null;
    const events = isOther ? this.#restart() : [];
    this.#attempt = attempt;
    this.#next = number + 1;
    return [...events, ...pieces.flatMap((piece) => this.#take(piece))];
  }

  end(document: ResultDocument): StreamEvent[] {
    const last = { type: 'document' as const, document };
    if (document.status !== 'completed') return [last];
    const { answers } = document;
    const isOther = answers.some(({ answer }, question) => this.#restOf(question, answer) === null);
    const events = isOther ? this.#restart() : [];
    for (const [question, answer] of answers.entries()) {
      const text = this.#restOf(question, answer.answer)!;
      if (text !== '') events.push(...this.#take({ question, text }));
      if (!this.#whole.has(question)) events.push(...this.#take({ question, answer }));
    }
    return [...events, last];
  }

  #take(piece: TextPiece): StreamEvent[] {
    const { question } = piece;
    this.#isEmpty = false;
    if ('text' in piece) {
      this.#texts.set(question, (this.#texts.get(question) ?? '') + piece.text);
      return [{ type: 'text', question, text: piece.text }];
    }
    this.#whole.add(question);
    return [{ type: 'answer', question, answer: piece.answer }];
  }

  /** What is missing of an answer; null where another one was heard. */
  #restOf(question: number, answer: string): string | null {
    const heard = (this.#texts.get(question) ?? '').trimStart();
    if (answer.startsWith(heard)) return answer.slice(heard.length);
    return heard.trimEnd() === answer ? '' : null;
  }

  /** No event where nothing was heard. */
  #restart(): StreamEvent[] {
    const wasEmpty = this.#isEmpty;
    this.#isEmpty = true;
    this.#next = 0;
    this.#texts.clear();
    this.#whole.clear();
    return wasEmpty ? [] : [{ type: 'restart' }];
  }
}
