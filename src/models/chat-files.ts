import { join } from 'node:path';
import { Template } from '@huggingface/jinja';
import { Tokenizer } from '@huggingface/tokenizers';
import { InputError } from '../errors.js';
import type { ChatParts } from './chat.js';
import { blameModel, faultOfModel } from './fault.js';
import type { ModelFolder } from './folder.js';
import type { Manifest } from './manifest.js';
import type { Newline } from './newline.js';
import type { PromptPart } from './types.js';

/** The chat of a model folder: its template and its tokenizer. */
export async function readChat(
  dir: string,
  folder: ModelFolder,
  { frames, frameTimes }: Manifest,
  newline: Newline | undefined,
): Promise<ChatParts> {
  const { config, imageToken, chatTemplate, tokenizerConfig } = folder;
  const tokenizer = await blameModel(
    join(dir, 'tokenizer.json'),
    () => new Tokenizer(folder.tokenizer, tokenizerConfig),
  );
  const template = await blameModel(chatTemplate.file, () => new Template(chatTemplate.text));
  if (frames === 'video' && config.videoTokenId == null)
    throw new InputError(
      'config.json must have a `video_token_index`: this family shows frames as one video',
    );
  return {
    ...{ frames, frameTimes, imageTokenId: imageToken.id, newline: newline?.after },
    ...(frames === 'video' && { videoTokenId: config.videoTokenId! }),
    specialTokens: folder.tokenizer.added_tokens.map(({ content }) => content),
    render: (parts) => {
      try {
        return render(template, parts, tokenizerConfig.bos_token, imageToken.content);
      } catch (error) {
        throw faultOfModel(chatTemplate.file, error);
      }
    },
    tokenize: (text) => {
      // A template may write the first token itself; else the tokenizer adds it where the family has one.
      const begun = text.startsWith(tokenizerConfig.bos_token || '\0');
      return tokenizer.encode(text, { add_special_tokens: !begun }).ids;
    },
    detokenize: (ids) => tokenizer.decode([...ids], { skip_special_tokens: true }),
  };
}

/** One user message. Older templates want its content as a string, with the image tokens written out. */
function render(
  template: Template,
  parts: readonly PromptPart[],
  bosToken: string | null | undefined,
  imageToken: string,
): string {
  const write = (content: unknown): string => {
    const messages = [{ role: 'user', content }];
    return template.render({ messages, add_generation_prompt: true, bos_token: bosToken ?? '' });
  };
  const text = write(parts);
  const images = parts.filter(({ type }) => type === 'image').length;
  if (text.split(imageToken).length - 1 >= images) return text;
  return write(parts.map((part) => (part.type === 'text' ? part.text : `${imageToken}\n`)).join(''));
}
