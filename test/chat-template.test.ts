import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { outlineModel } from '../src/models/outline.js';
import { shippedModel } from '../src/models/shipped.js';
import type { Chat } from '../src/models/types.js';

/* Templates that take contents as a list or as a string, in the place of the shipped model's. */

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'visionzip-chat-'));
  cpSync(shippedModel, dir, { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** The chat of a template that writes each message's content so. */
async function chatOf(content: string): Promise<Chat> {
  const message = `{{ message['role'] | upper }}: ${content} `;
  const template = `{% for message in messages %}${message}{% endfor %}ASSISTANT:`;
  writeFileSync(join(dir, 'chat_template.jinja'), template);
  return (await outlineModel(dir)).chat;
}

const list =
  "{% for part in message['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}";
const picture = [{ type: 'image' }, { type: 'text', text: 'What?' }] as const;
const video = { ptsSeconds: [0], durationSeconds: 1 };

describe('a chat template', () => {
  it('that throws at a list of contents gets strings', async () => {
    const chat = await chatOf("{{ message['content'] | trim }}");
    expect(chat.render(picture)).toBe('USER: <image>\nWhat? ASSISTANT:');
    expect(chat.render(picture, ['red', 'Where?'])).toBe(
      'USER: <image>\nWhat? ASSISTANT: red USER: Where? ASSISTANT:',
    );
  });

  it('that throws at everything is at fault with what it said first', async () => {
    const kind = "('text' if message['content'] is string else 'list')";
    const chat = await chatOf(`{{ raise_exception('no ' + ${kind}) }}`);
    for (const later of [[], ['red', 'Where?']])
      expect(() => chat.render(picture, later)).toThrow(
        expect.objectContaining({ fault: 'model', message: expect.stringContaining('no list') }),
      );
  });

  it('gets the answers in the form that it shows, however short they are', async () => {
    // An answer as a list is lost; "A" stands in "ASSISTANT:" all the same.
    const chat = await chatOf(
      `{% if message['role'] == 'user' %}${list}{% elif message['content'] is string %}{{ message['content'] }}{% endif %}`,
    );
    expect(chat.render(picture, ['A', 'Where?'])).toBe(
      'USER: <image>What? ASSISTANT: A USER: Where? ASSISTANT:',
    );
  });

  it('that loses the answers in every form is refused, however short they are', async () => {
    const chat = await chatOf(`{% if message['role'] == 'user' %}${list}{% endif %}`);
    expect(() => chat.layOut(video, 'Where?', [{ question: 'What?', answer: 'A' }])).toThrow(
      expect.objectContaining({
        fault: 'model',
        message: expect.stringContaining('cannot show what was asked and answered before'),
      }),
    );
    expect(chat.layOut(video, 'Where?').suffix.length).toBeGreaterThan(0);
  });

  it('may show a message without what a model thought before it answered', async () => {
    const chat = await chatOf(
      `{% if message['role'] == 'user' %}${list}{% else %}{{ message['content'][0]['text'].split('</think>')[-1] }}{% endif %}`,
    );
    const { suffix } = chat.layOut(video, 'Where?', [{ question: 'What?', answer: 'hm</think>red' }]);
    expect(chat.detokenize(suffix)).toMatch(/ASSISTANT: ?red ?USER:/);
  });
});
