import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { InputError } from '../errors.js';
import type { ChatParts } from './chat.js';
import type { Form, Forms } from './chat-forms.js';
import type { VideoMarks } from './families/qwen-vl.js';
import { blameModel, faultOfModel } from './fault.js';
import type { ModelFolder } from './folder.js';
import type { Manifest } from './manifest.js';
import type { Newline } from './newline.js';

/** The chat of a model folder: its template and its tokenizer. */
export async function readChat(
  dir: string,
  folder: ModelFolder,
  { frames, still, frameTimes }: Manifest,
  newline: Newline | undefined,
): Promise<ChatParts> {
  const { config, imageToken, chatTemplate, tokenizerConfig } = folder;
  const tokenizer = await blameModel(
    join(dir, 'tokenizer.json'),
    () => new Tokenizer(folder.tokenizer, tokenizerConfig),
  );
  const template = await blameModel(chatTemplate.file, () => new Template(chatTemplate.text));
  const asVideo = frames === 'video' || frames === 'timed';
  if (asVideo && config.videoTokenId == null)
    throw new InputError(
      'config.json must have a `video_token_id` or `video_token_index`: this family shows frames as one video',
    );
  return {
    ...{ frames, still, frameTimes, imageTokenId: imageToken.id, newline: newline?.after },
    ...(asVideo && { videoTokenId: config.videoTokenId! }),
    ...(frames === 'timed' && { videoMarks: readVideoMarks(folder) }),
    specialTokens: folder.tokenizer.added_tokens.map(({ content }) => content),
    forms: writeForms(chatTemplate.file, template, tokenizerConfig.bos_token, imageToken.content),
    tokenize: (text) => {
      // A template may write the first token itself; else the tokenizer adds it where the family has one.
      const begun = text.startsWith(tokenizerConfig.bos_token || '\0');
      return tokenizer.encode(text, { add_special_tokens: !begun }).ids;
    },
    detokenize: (ids) => tokenizer.decode([...ids], { skip_special_tokens: true }),
  };
}

/** Throws an InputError where config.json or tokenizer.json does not name one of them. */
function readVideoMarks({ config, tokenizer }: ModelFolder): VideoMarks {
  const textOf = (key: string, id: number | undefined): string => {
    const token = tokenizer.added_tokens.find((one) => one.id === id);
    if (token) return token.content;
    throw new InputError(`config.json must have a \`${key}\` that tokenizer.json names, it has ${id}`);
  };
  return {
    start: textOf('vision_start_token_id', config.visionStartTokenId),
    video: textOf('video_token_id', config.videoTokenId),
    end: textOf('vision_end_token_id', config.visionEndTokenId),
  };
}

/**
 * Contents as lists; as a list of the user's alone, and strings of the assistant's, which some templates want; or, for older
 * ones, as strings with the image tokens written out.
 */
function writeForms(
  file: string,
  template: Template,
  bosToken: string | null | undefined,
  imageToken: string,
): Forms {
  const asList = (text: string) => [{ type: 'text', text }];
  const asText = (text: string) => text;
  const write = (
    first: unknown,
    later: readonly string[],
    contentOf: Record<Role, (text: string) => unknown>,
  ) => {
    const others = later.map((text, i) => {
      const role = i % 2 === 0 ? 'assistant' : 'user';
      return { role, content: contentOf[role](text) };
    });
    const messages = [{ role: 'user', content: first }, ...others];
    // Templates of models that may think before they answer ask whether they shall: an answer here is a few words.
    const settings = { add_generation_prompt: true, enable_thinking: false };
    try {
      return template.render({ messages, ...settings, bos_token: bosToken ?? '' });
    } catch (error) {
      throw faultOfModel(file, error);
    }
  };
  const lists: Form = (parts, later) => write(parts, later, { user: asList, assistant: asList });
  const mixed: Form = (parts, later) => write(parts, later, { user: asList, assistant: asText });
  const texts: Form = (parts, later) => {
    const first = parts.map((part) => (part.type === 'text' ? part.text : `${imageToken}\n`)).join('');
    return write(first, later, { user: asText, assistant: asText });
  };
  return { one: [lists, texts], several: [lists, mixed, texts], imageToken };
}

type Role = 'user' | 'assistant';
