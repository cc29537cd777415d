import type { Readable } from 'node:stream';

/** Reads an exact number of bytes from a stream; null where it ends before. What is read beyond is put back. */
export async function readExactly(stream: Readable, count: number): Promise<Uint8Array | null> {
  const bytes = new Uint8Array(count);
  for (let filled = 0; filled < count; ) {
    const chunk = await nextChunk(stream);
    if (chunk === null) return null;
    const part = chunk.subarray(0, count - filled);
    bytes.set(part, filled);
    filled += part.length;
    if (part.length < chunk.length) stream.unshift(chunk.subarray(part.length));
  }
  return bytes;
}

/** Not by iteration, which would destroy the stream when it is left. */
async function nextChunk(stream: Readable): Promise<Buffer | null> {
  for (;;) {
    const chunk = stream.read() as Buffer | null;
    if (chunk !== null) return chunk;
    if (stream.readableEnded || stream.destroyed) return null;
    await new Promise<void>((resolve) => {
      const wake = () => {
        stream.off('readable', wake).off('end', wake).off('close', wake).off('error', wake);
        resolve();
      };
      stream.on('readable', wake).on('end', wake).on('close', wake).on('error', wake);
    });
  }
}
