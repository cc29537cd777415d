import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { InputError } from '../errors.js';
import { containers, type PictureDemuxer, pictureDecoders, videoCodecs } from './formats.js';

/** A file that passed the checks of source.ts, and how to read it. */
export interface Media {
  /** Real path of a regular file. */
  readonly path: string;
  /** Of the file that was checked: another in its place, or the same one changed, is refused. */
  readonly identity: string;
  /** Forced demuxer of a picture file; null lets ffmpeg look, among the video containers. */
  readonly demuxer: PictureDemuxer | null;
  /** Largest frame that may be decoded, in pixels. */
  readonly maxPixels: number;
  /** Pixels of its frames where they are known: what the decoder's memory is measured by. */
  readonly framePixels?: number;
}

/**
 * What often lies beside the video. ffprobe opens a decoder for each stream and gives up when one is not on its list;
 * for files with other companions it is run again with all decoders of sound and subtitles. ffmpeg opens the video's
 * alone.
 */
const companionDecoders = [
  'aac aac_latm mp3 mp3float mp2 mp2float ac3 eac3 dca opus libopus vorbis libvorbis flac alac',
  'pcm_s16le pcm_s16be pcm_s24le pcm_s32le pcm_f32le pcm_u8 pcm_alaw pcm_mulaw',
  'amrnb libopencore_amrnb amrwb libopencore_amrwb wmav2 wmapro adpcm_ms',
  'mov_text srt subrip ass ssa webvtt text dvbsub pgssub dvdsub cc_dec png',
].flatMap((line) => line.split(' '));

/** Streams of a file that are looked at. */
export const MAX_STREAMS = 100;

/** Name under which a decoder opens the file that it gets as its standard input. */
export const INPUT_DESCRIPTOR = 'file:/dev/fd/0';

/**
 * The options before `-i` that keep a decoder from opening anything else than what is accepted.
 *
 * @param companions for ffprobe, decoders of sound and subtitles; default the common ones.
 */
export function inputArgs(
  media: Media,
  program: 'ffmpeg' | 'ffprobe',
  companions: readonly string[] = companionDecoders,
): string[] {
  const { demuxer } = media;
  const formats = demuxer ? [demuxer] : containers.map((container) => container.demuxer);
  const decoders = demuxer ? [pictureDecoders[demuxer]] : videoCodecs.flatMap((codec) => codec.decoders);
  const beside = program === 'ffprobe' && !demuxer ? companions : [];
  return [
    ...['-protocol_whitelist', 'file,pipe', '-format_whitelist', formats.join()],
    ...['-codec_whitelist', [...decoders, ...beside].join(), '-max_streams', String(MAX_STREAMS)],
    ...['-max_pixels', String(media.maxPixels)],
    ...(demuxer ? ['-f', demuxer] : []),
  ];
}

/**
 * Elsewhere than on Linux a descriptor shares its place in the file with its copies: there the path is
 * given.
 */
export function inputName(media: Media): string {
  return process.platform === 'linux' ? INPUT_DESCRIPTOR : `file:${media.path}`;
}

/** Opened anew for each run, and only if it still is the file that was checked. */
export async function openChecked(media: Media): Promise<FileHandle> {
  const file = await open(media.path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  if (identityOf(await file.stat()) === media.identity) return file;
  await file.close();
  throw new InputError(`${JSON.stringify(media.path)} was changed while it was being read`);
}

/** Changes when the file is replaced or written to. */
export function identityOf({ dev, ino, size, mtimeMs }: Stats): string {
  return [dev, ino, size, mtimeMs].join(':');
}
