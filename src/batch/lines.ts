import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';

export interface Line {
  /** Without its line end. */
  readonly text: string;
  /** Whether it is text in UTF-8; what else it holds stands as "�" in `text`. */
  readonly isUtf8: boolean;
  /** The byte at which it begins. */
  readonly offset: number;
  /** Whether a line end follows. */
  readonly isEnded: boolean;
}

/** How much is read at once, in bytes. */
const chunkBytes = 256 * 1024;
const lineEnd = 0x0a;

/** The lines of a file, without reading more of it than a chunk and a line at a time. */
export async function* readLines(path: string): AsyncGenerator<Line> {
  let begun: Buffer[] = [];
  let offset = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes }) as AsyncIterable<Buffer>) {
    let from = 0;
    for (let end = chunk.indexOf(lineEnd); end >= 0; end = chunk.indexOf(lineEnd, from)) {
      const bytes = joined(begun, chunk.subarray(from, end));
      yield { ...decode(bytes), offset, isEnded: true };
      begun = [];
      offset += bytes.length + 1;
      from = end + 1;
    }
    if (from < chunk.length) begun.push(chunk.subarray(from));
  }
  if (begun.length > 0) yield { ...decode(Buffer.concat(begun)), offset, isEnded: false };
}

function decode(bytes: Buffer): Pick<Line, 'text' | 'isUtf8'> {
  return { text: bytes.toString('utf8'), isUtf8: isUtf8(bytes) };
}

function joined(begun: readonly Buffer[], last: Buffer): Buffer {
  return begun.length === 0 ? last : Buffer.concat([...begun, last]);
}
