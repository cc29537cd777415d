import { constants, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { InputError } from './errors.js';

/** A file that passed the checks of source.ts, and how to read it. */
export interface Media {
  /** Real path of a regular file. */
  readonly path: string;
  /** Of the file that was checked: another in its place, or the same one changed, is refused. */
  readonly identity: string;
  /** Forced demuxer of a picture file; null lets ffmpeg look, among the video containers. */
  readonly demuxer: StillDemuxer | null;
  /** Largest frame that may be decoded, in pixels. */
  readonly maxPixels: number;
  /** Pixels of its frames where they are known: what the decoder's memory is measured by. */
  readonly framePixels?: number;
}

export type StillDemuxer = 'png_pipe' | 'jpeg_pipe' | 'webp_pipe' | 'gif';

/** The containers in which video is accepted, by the names of ffmpeg's demuxers. */
const videoFormats = 'mov mp4 m4a 3gp 3g2 mj2 matroska webm avi mpegts'.split(' ');

/** The codecs of video that are accepted, by the names of ffmpeg's codecs and decoders. */
export const videoCodecs = 'h264 hevc vp8 vp9 libvpx libvpx-vp9 libdav1d av1 mpeg4 mpeg2video mjpeg'.split(
  ' ',
);

/**
 * What may lie beside the video. ffprobe gives up when a stream's codec is not on its list; ffmpeg does
 * not.
 */
const companionCodecs = [
  'aac aac_latm mp3 mp3float mp2 mp2float ac3 eac3 dca opus libopus vorbis libvorbis flac alac',
  'pcm_s16le pcm_s16be pcm_s24le pcm_s32le pcm_f32le pcm_u8 pcm_alaw pcm_mulaw',
  'amrnb libopencore_amrnb amrwb libopencore_amrwb',
  'mov_text srt subrip ass ssa webvtt text dvbsub pgssub dvdsub png',
].flatMap((line) => line.split(' '));

const stillCodecs: Record<StillDemuxer, string> = {
  png_pipe: 'png',
  jpeg_pipe: 'mjpeg',
  webp_pipe: 'webp',
  gif: 'gif',
};

const MAX_STREAMS = 16;

/** Name under which a decoder opens the file that it gets as its standard input. */
export const INPUT_DESCRIPTOR = 'file:/dev/fd/0';

/** The options before `-i` that keep a decoder from opening anything else than what is accepted. */
export function inputArgs(media: Media, program: 'ffmpeg' | 'ffprobe'): string[] {
  const companions = program === 'ffprobe' ? companionCodecs : [];
  const formats = media.demuxer ? [media.demuxer] : videoFormats;
  const codecs = media.demuxer ? [stillCodecs[media.demuxer]] : [...videoCodecs, ...companions];
  return [
    ...['-protocol_whitelist', 'file,pipe', '-format_whitelist', formats.join()],
    ...['-codec_whitelist', codecs.join(), '-max_streams', String(MAX_STREAMS)],
    ...['-max_pixels', String(media.maxPixels)],
    ...(media.demuxer ? ['-f', media.demuxer] : []),
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
