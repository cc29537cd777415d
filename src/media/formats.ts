/**
 * What is read: containers, codecs of video, and pictures. Each name is a part of the surface that a hostile file can
 * reach, so the lists hold what people have, decoded by code of ffmpeg's that is fuzzed and maintained; rare and recent
 * decoders (MagicYUV, screen codecs, game formats) and containers that open other files (HLS, DASH, concat) stay out.
 */

/** How a container is entered in the middle. */
export type Seeking =
  /** By ffmpeg's `-ss`, checked by the times of the frames that come. */
  | 'time'
  /** By the position of a keyframe's packet: exact where clocks jump or start again. */
  | 'byte'
  /** Decoded from the start. */
  | 'none';

export interface Container {
  readonly title: string;
  /** What files are called that hold it. */
  readonly extensions: readonly string[];
  /** ffmpeg's name of the demuxer, as ffprobe prints it. */
  readonly demuxer: string;
  readonly seeking: Seeking;
  /** Whether its clock may jump or start again in the middle of a file, as broadcasts and joined files do. */
  readonly clockMayJump?: true;
  /** Whether edit lists may show parts of it again, so that times that step back say nothing. */
  readonly hasEdits?: true;
  /** Whether its packets have no presentation times, only an order of decoding. */
  readonly countsPackets?: true;
}

export const containers: readonly Container[] = [
  {
    title: 'MP4, QuickTime, 3GP',
    extensions: ['mp4', 'm4v', 'mov', '3gp', '3g2'],
    demuxer: 'mov,mp4,m4a,3gp,3g2,mj2',
    seeking: 'time',
    hasEdits: true,
  },
  { title: 'Matroska, WebM', extensions: ['mkv', 'webm'], demuxer: 'matroska,webm', seeking: 'time' },
  {
    title: 'MPEG transport stream',
    extensions: ['ts', 'm2ts', 'mts'],
    demuxer: 'mpegts',
    seeking: 'byte',
    clockMayJump: true,
  },
  {
    title: 'MPEG program stream',
    extensions: ['mpg', 'mpeg', 'vob'],
    demuxer: 'mpeg',
    seeking: 'byte',
    clockMayJump: true,
  },
  { title: 'AVI', extensions: ['avi'], demuxer: 'avi', seeking: 'time', countsPackets: true },
  { title: 'Flash Video', extensions: ['flv'], demuxer: 'flv', seeking: 'time' },
  { title: 'Windows Media', extensions: ['wmv', 'asf'], demuxer: 'asf', seeking: 'time' },
  { title: 'Ogg', extensions: ['ogv', 'ogg'], demuxer: 'ogg', seeking: 'time' },
];

export interface Codec {
  readonly title: string;
  /** As ffprobe prints it. */
  readonly name: string;
  /** ffmpeg's decoders of it that are allowed. */
  readonly decoders: readonly string[];
}

const codec = (title: string, name: string, ...decoders: string[]): Codec => ({
  title,
  name,
  decoders: decoders.length === 0 ? [name] : decoders,
});

export const videoCodecs: readonly Codec[] = [
  codec('H.264', 'h264'),
  codec('H.265 (HEVC)', 'hevc'),
  codec('AV1', 'av1', 'libdav1d', 'av1'),
  codec('VP8', 'vp8', 'vp8', 'libvpx'),
  codec('VP9', 'vp9', 'vp9', 'libvpx-vp9'),
  codec('MPEG-4 Part 2 (DivX, Xvid)', 'mpeg4'),
  codec('MPEG-2', 'mpeg2video'),
  codec('MPEG-1', 'mpeg1video'),
  codec('Motion JPEG', 'mjpeg'),
  codec('ProRes', 'prores'),
  codec('H.263', 'h263'),
  codec('Sorenson Spark', 'flv1', 'flv'),
  codec('Theora', 'theora'),
  codec('MS-MPEG-4 version 2', 'msmpeg4v2'),
  codec('MS-MPEG-4 version 3 (DivX 3)', 'msmpeg4v3', 'msmpeg4'),
  codec('Windows Media Video 7', 'wmv1'),
  codec('Windows Media Video 8', 'wmv2'),
  codec('Windows Media Video 9', 'wmv3'),
  codec('VC-1', 'vc1'),
];

/** Demuxers that take a picture alone. */
export type PictureDemuxer = 'png_pipe' | 'apng' | 'jpeg_pipe' | 'webp_pipe' | 'gif';

export const pictureDecoders: Readonly<Record<PictureDemuxer, string>> = {
  png_pipe: 'png',
  apng: 'apng',
  jpeg_pipe: 'mjpeg',
  webp_pipe: 'webp',
  gif: 'gif',
};

/** For people. Animated ones are videos. */
export const pictureTitles = ['PNG', 'APNG', 'JPEG', 'WebP', 'GIF'];

/** What a sentence of refusal says was expected. */
export const expectedFormats =
  'a video (mp4, mov, mkv, webm, avi, MPEG-TS, MPEG-PS, flv, wmv or ogv) or a picture (png, jpeg, webp or gif)';
