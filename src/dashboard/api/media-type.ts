import type { PictureDemuxer } from '../../media/formats.js';

const pictures: Readonly<Record<PictureDemuxer, string>> = {
  png_pipe: 'image/png',
  apng: 'image/apng',
  jpeg_pipe: 'image/jpeg',
  webp_pipe: 'image/webp',
  gif: 'image/gif',
};

const boxes = new Set(['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'styp', 'moof']);

/** How a browser is to take a file, by its first bytes; null for what no container of ours begins with. */
export function mediaTypeOf(head: Buffer, picture: PictureDemuxer | null): string | null {
  if (picture) return pictures[picture];
  if (head.length < 12) return null;
  const text = (start: number, end: number) => head.toString('latin1', start, end);
  // Browsers play QuickTime files that hold what an MP4 may, but not under the name of QuickTime.
  if (boxes.has(text(4, 8))) return 'video/mp4';
  if (head.readUInt32BE(0) === 0x1a45dfa3) {
    return text(0, 64).includes('webm') ? 'video/webm' : 'video/x-matroska';
  }
  if (text(0, 4) === 'OggS') return 'video/ogg';
  if (text(0, 4) === 'RIFF' && text(8, 11) === 'AVI') return 'video/x-msvideo';
  if (text(0, 3) === 'FLV') return 'video/x-flv';
  if (head.readUInt32BE(0) === 0x3026b275) return 'video/x-ms-asf';
  if (head.readUInt32BE(0) === 0x000001ba) return 'video/mpeg';
  return isTransportStream(head) ? 'video/mp2t' : null;
}

/** A packet of 188 bytes begins with the same byte as the next; on disks of recorders a time stands before each. */
function isTransportStream(head: Buffer): boolean {
  const begins = (first: number, size: number) =>
    [0, 1, 2].every((packet) => head[first + packet * size] === 0x47);
  return begins(0, 188) || begins(4, 192);
}
