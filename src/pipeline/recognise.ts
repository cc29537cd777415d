import { InputError } from './errors.js';
import type { StillDemuxer } from './media.js';

/** First bytes (`null` matches any) of what is told apart before ffprobe looks. */
const pictures: readonly (readonly [StillDemuxer, readonly (number | null)[]])[] = [
  ['png_pipe', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['jpeg_pipe', [0xff, 0xd8, 0xff]],
  ['gif', [0x47, 0x49, 0x46, 0x38]],
  ['webp_pipe', [...bytes('RIFF'), null, null, null, null, ...bytes('WEBP')]],
];

const others: readonly (readonly [string, readonly (number | null)[]])[] = [
  ['a playlist (HLS), which would open other files', bytes('#EXTM3U')],
  ['a playlist (ffconcat), which would open other files', bytes('ffconcat')],
  ['sound alone (MP3)', bytes('ID3')],
  ['sound alone (FLAC)', bytes('fLaC')],
  ['sound alone (WAV)', [...bytes('RIFF'), null, null, null, null, ...bytes('WAVE')]],
  ['an Ogg file', bytes('OggS')],
  ['a Flash video', bytes('FLV')],
  ['a PDF document', bytes('%PDF')],
  ['a ZIP archive', bytes('PK\u0003\u0004')],
  ['a gzip archive', [0x1f, 0x8b]],
];

export const expectedFormats =
  'a video (mp4, mov, mkv, webm, avi or MPEG-TS) or a picture (png, jpeg, webp or gif)';

/**
 * What kind of file this is, by its first bytes, whatever its name.
 *
 * @returns the demuxer for a picture, null for what ffprobe should look at.
 * @throws InputError for text, playlists and well-known formats that are no video.
 */
export function recognise(path: string, head: Uint8Array): StillDemuxer | null {
  for (const [demuxer, magic] of pictures) if (startsWith(head, magic)) return demuxer;
  for (const [what, magic] of others) if (startsWith(head, magic)) throw refused(path, what);
  if (isText(head)) throw refused(path, 'text');
  return null;
}

function refused(path: string, found: string): InputError {
  return new InputError(`${JSON.stringify(path)}: expected ${expectedFormats}, found ${found}`);
}

function startsWith(head: Uint8Array, magic: readonly (number | null)[]): boolean {
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
