import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { failureDocument } from '../queues/documents.js';
import { type Result, resultSchema } from '../queues/schemas.js';
import { readMessage, type TextMessage, type TextPiece } from '../queues/text.js';
import { type StreamEvent, Transcript } from '../queues/transcript.js';

const fixture = resultSchema.parse(
  JSON.parse(readFileSync(new URL('fixtures/result.json', import.meta.url), 'utf8')),
);
const [someAnswer] = fixture.answers;
const documentOf = (...answers: string[]): Result => ({
  ...fixture,
  answers: answers.map((answer) => ({ ...someAnswer!, answer })),
});
const message = (attempt: string, number: number, ...pieces: TextPiece[]): TextMessage => ({
  ...{ attempt, number, pieces },
});
const said = (text: string, question = 0) => ({ question, text });

/** What a reader has on the page: restarts wipe it. */
function pageOf(events: readonly StreamEvent[]): string[] {
  const page: string[] = [];
  for (const event of events) {
    if (event.type === 'restart') page.length = 0;
    if (event.type === 'text') page[event.question] = (page[event.question] ?? '') + event.text;
  }
  return page.map((text) => text.trim());
}

describe('a transcript', () => {
  it('passes text on, then what is left of it, the answers and the document', () => {
    const transcript = new Transcript();
    expect(transcript.hear(message('a', 0, said(' a r'), said('ed')))).toEqual([
      { type: 'text', question: 0, text: ' a r' },
      { type: 'text', question: 0, text: 'ed' },
    ]);
    const document = documentOf('a red star', 'two');
    expect(transcript.end(document)).toEqual([
      { type: 'text', question: 0, text: ' star' },
      { type: 'answer', question: 0, answer: document.answers[0] },
      { type: 'text', question: 1, text: 'two' },
      { type: 'answer', question: 1, answer: document.answers[1] },
      { type: 'document', document },
    ]);
  });

  it('takes each message once, and says where some are missing', () => {
    const transcript = new Transcript();
    expect(transcript.hear(message('a', 1, said('b')))).toBeNull();
    expect(transcript.hear(message('a', 0, said('a')))).toHaveLength(1);
    expect(transcript.hear(message('a', 0, said('a')))).toEqual([]);
    expect(transcript.hear(message('a', 2, said('c')))).toBeNull();
    expect(transcript.hear(message('a', 1, said('b')))).toHaveLength(1);
  });

  it('begins anew with another attempt, and where the document says something else', () => {
    const transcript = new Transcript();
    transcript.hear(message('a', 0, said('re')));
    expect(transcript.hear(message('b', 0, said('bl')))).toEqual([
      { type: 'restart' },
      { type: 'text', question: 0, text: 'bl' },
    ]);
    const events = transcript.end(documentOf('green'));
    expect(events.map(({ type }) => type)).toEqual(['restart', 'text', 'answer', 'document']);
  });

  it('does not say that it begins anew where nothing was heard', () => {
    const transcript = new Transcript();
    expect(transcript.hear(message('a', 0))).toEqual([]);
    expect(transcript.hear(message('b', 0, said('x')))).toEqual([{ type: 'text', question: 0, text: 'x' }]);
  });

  it('ends with a failure as it is', () => {
    const transcript = new Transcript();
    transcript.hear(message('a', 0, said('re')));
    const document = failureDocument('id', 'out of luck');
    expect(transcript.end(document)).toEqual([{ type: 'document', document }]);
  });

  it('gives the answers of the document, whatever was lost, repeated or begun anew', () => {
    const words = fc.array(fc.string({ maxLength: 3 }), { maxLength: 6 });
    const attempts = fc.array(words, { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(attempts, fc.infiniteStream(fc.nat(3)), (texts, chance) => {
        const transcript = new Transcript();
        const events: StreamEvent[] = [];
        const hear = (one: TextMessage) => events.push(...(transcript.hear(one) ?? []));
        for (const [attempt, pieces] of texts.entries()) {
          const all = pieces.map((text, number) => message(String(attempt), number, said(text)));
          // Some are lost; then the list is read again, or it is not.
          for (const [i, one] of all.entries()) {
            const { value: luck } = chance.next();
            if (luck > 0) hear(one);
            if (luck > 1) for (const kept of all.slice(0, i + 1)) hear(kept);
          }
        }
        const answer = texts.at(-1)!.join('').trim();
        events.push(...transcript.end(documentOf(answer)));
        expect(pageOf(events).join('')).toBe(answer);
      }),
    );
  });
});

describe('a message', () => {
  it('is read tolerantly, or not at all', () => {
    const later = { ...message('a', 0, said('x')), mood: 'good' };
    expect(readMessage(JSON.stringify(later))).toEqual(later);
    expect(readMessage('{"attempt":1}')).toBeNull();
    expect(readMessage('no JSON')).toBeNull();
  });
});
