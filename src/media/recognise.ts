import { InputError } from '../errors.js';
import { expectedFormats, type PictureDemuxer } from './formats.js';

type Magic = readonly (number | null)[];

/** First bytes (`null` matches any) of what is told apart before ffprobe looks. */
const pictures: readonly (readonly [PictureDemuxer, Magic])[] = [
  ['png_pipe', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['jpeg_pipe', [0xff, 0xd8, 0xff]],
  ['gif', bytes('GIF8')],
  ['webp_pipe', [...bytes('RIFF'), null, null, null, null, ...bytes('WEBP')]],
];

const others: readonly (readonly [string, Magic])[] = [
  ['a playlist (HLS), which would open other files', bytes('#EXTM3U')],
  ['a playlist (ffconcat), which would open other files', bytes('ffconcat')],
  ['sound alone (MP3)', bytes('ID3')],
  ['sound alone (FLAC)', bytes('fLaC')],
  ['sound alone (WAV)', [...bytes('RIFF'), null, null, null, null, ...bytes('WAVE')]],
  ['a PDF document', bytes('%PDF')],
  ['a ZIP archive', bytes('PK\u0003\u0004')],
  ['a gzip archive', [0x1f, 0x8b]],
];

/** How the containers of video begin, but for transport streams, which have a byte at regular distances. */
const videos: readonly Magic[] = [
  [0x1a, 0x45, 0xdf, 0xa3], // Matroska
  [...bytes('RIFF'), null, null, null, null, ...bytes('AVI')],
  bytes('FLV'),
  bytes('OggS'),
  [0x30, 0x26, 0xb2, 0x75, 0x8e, 0x66, 0xcf, 0x11], // ASF
  ...['ftyp', 'moov', 'mdat', 'free', 'skip', 'wide', 'pnot', 'uuid', 'styp', 'moof'].map(
    (box): Magic => [null, null, null, null, ...bytes(box)],
  ),
];

/** A file above this size is hashed and probed only where its first bytes are those of a video. */
export const LARGE_BYTES = 64 * 2 ** 20;

/**
 * What kind of file this is, by its first bytes, whatever its name.
 *
 * @param head the first bytes, 4 kB where there are as many.
 * @returns the demuxer for a picture, null for what ffprobe should look at.
 * @throws InputError for text, playlists, well-known formats that are no video, and large files of no known kind.
 */
export function recognise(path: string, head: Uint8Array, sizeBytes: number): PictureDemuxer | null {
  for (const [demuxer, magic] of pictures) if (startsWith(head, magic)) return demuxer;
  for (const [what, magic] of others) if (startsWith(head, magic)) throw refused(path, what);
  if (head.every((byte) => byte === 0)) throw refused(path, 'nothing but zeros at its start');
  if (isText(head)) throw refused(path, 'text');
  if (sizeBytes > LARGE_BYTES && !looksLikeVideo(head)) throw refused(path, 'data that is none of these');
  return null;
}

function looksLikeVideo(head: Uint8Array): boolean {
  return videos.some((magic) => startsWith(head, magic)) || isProgramStream(head) || isTransportStream(head);
}

function isProgramStream(head: Uint8Array): boolean {
  return Buffer.from(head.buffer, head.byteOffset, head.length).includes(Buffer.of(0, 0, 1, 0xba));
}

/** Packets of 188 bytes, or of 192 or 204 with what recorders and modems add, wherever the first begins. */
function isTransportStream(head: Uint8Array): boolean {
  const repeats = (start: number, size: number) =>
    [0, 1, 2, 3, 4].every((packet) => head[start + packet * size] === 0x47);
  return [188, 192, 204].some((size) =>
    Array.from({ length: size }, (_, start) => start).some((start) => repeats(start, size)),
  );
}

function refused(path: string, found: string): InputError {
  return new InputError(`${JSON.stringify(path)}: expected ${expectedFormats}, found ${found}`);
}

function startsWith(head: Uint8Array, magic: Magic): boolean {
  return head.length >= magic.length && magic.every((byte, i) => byte === null || byte === head[i]);
}

/** UTF-8 without control characters other than white space; each video container has zeros near its start. */
function isText(head: Uint8Array): boolean {
  if (head.some((byte) => byte < 9 || byte === 0x7f)) return false;
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(head, { stream: true });
    return true;
  } catch {
    return false;
  }
}

function bytes(text: string): number[] {
  return [...text].map((letter) => letter.charCodeAt(0));
}
