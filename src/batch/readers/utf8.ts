import { createReadStream } from 'node:fs';
import { settingsError } from '../errors.js';

/**
 * The text of a file, piece by piece.
 *
 * @throws InputError where it is not UTF-8 throughout: rows would be asked with other words than theirs
 */
export async function* readUtf8(file: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const decode = (bytes?: Buffer) => {
    try {
      return decoder.decode(bytes, { stream: bytes !== undefined });
    } catch {
      throw settingsError(
        `${file} is not text in UTF-8: \`iconv -f utf-8\` says where, \`iconv -f latin1 -t utf-8\` makes it of Latin-1`,
      );
    }
  };
  for await (const bytes of createReadStream(file) as AsyncIterable<Buffer>) yield decode(bytes);
  yield decode();
}
