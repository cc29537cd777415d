import type { ListedStream } from './probe-listing.js';

/** What is done to frames on their way to RGB, so that they look as a player shows them. */
export interface Look {
  /** Clockwise rotation that ffmpeg applies before all filters, in degrees. */
  readonly rotation: number;
  /** EXIF's orientation of a picture file, which we apply ourselves; null for a video. */
  readonly orientation: number | null;
  /** Brought into the range and colours of SDR: the stream's own tags, in zscale's words. */
  readonly hdr: { readonly transfer: string; readonly primaries: string; readonly matrix: string } | null;
  /** For a stream that does not say by which matrix its colours were made. */
  readonly matrix: 'bt601' | 'bt709' | null;
}

const hdrTransfers: Readonly<Record<string, string>> = {
  smpte2084: 'smpte2084',
  'arib-std-b67': 'arib-std-b67',
};
/** Of SDR in the wide colours of bt2020. */
const sdrTransfers = new Set(['bt709', 'smpte170m', 'bt2020-10', 'bt2020-12', 'unknown']);
const matrices: Readonly<Record<string, string>> = { bt2020nc: '2020_ncl', bt2020c: '2020_cl', bt709: '709' };

/** @param orientation EXIF's, of a picture file; null for a video. */
export function lookOf(stream: ListedStream, orientation: number | null): Look {
  const { rotation, codec, pixelFormat, colour, width, height } = stream;
  const isRgb = /^(gbr|rgb|bgr|argb|abgr|pal|gray|mono)/.test(pixelFormat) || colour.space === 'gbr';
  // As mpv decides: https://github.com/mpv-player/mpv, mp_csp_guess_colorspace.
  const isHighDefinition = width >= 1280 || height > 576;
  return {
    rotation: orientation === null ? rotation : 0,
    orientation,
    hdr: orientation === null && !isRgb ? hdrOf(stream) : null,
    matrix:
      orientation !== null || isRgb || colour.space !== 'unknown' || codec === 'mjpeg' || !isHighDefinition
        ? null
        : 'bt709',
  };
}

function hdrOf({ colour }: ListedStream): Look['hdr'] {
  const isWide = colour.primaries === 'bt2020' || colour.space.startsWith('bt2020');
  const transfer =
    hdrTransfers[colour.transfer] ?? (isWide && sdrTransfers.has(colour.transfer) ? '709' : null);
  if (transfer === null) return null;
  // PQ and HLG without other tags are of bt2020.
  const primaries =
    colour.primaries === 'bt709' ? '709' : colour.primaries === 'smpte432' ? 'smpte432' : '2020';
  return { transfer, primaries, matrix: matrices[colour.space] ?? '2020_ncl' };
}

/** Nits of the white of SDR within HDR (ITU-R BT.2408, section 2.2). */
const REFERENCE_WHITE = 203;

/** Up to this share of white, HDR keeps its brightness; what is brighter is pressed into the rest. */
const LINEAR_UP_TO = 0.8;

/** Wider than any screen; a bound for frames whose pixels claim an absurd shape. */
export const MAX_EDGE = 16_384;

/** The filters behind the selection: upright, in SDR, with square pixels. */
export function lookFilters({ rotation, orientation, hdr, matrix }: Look): string[] {
  const square = (edge: string, sar: string) => `'min(max(trunc(${edge}*${sar}+0.5),1),${MAX_EDGE})'`;
  // Rotated, the width as it was coded is the height. Nobody stretches a picture file by the density that it claims.
  const isTurned = rotation === 90 || rotation === 270;
  const [width, height] = isTurned ? ['iw', square('ih', '(1/sar)')] : [square('iw', 'sar'), 'ih'];
  if (orientation !== null) return [...(orientations[orientation] ?? []), 'scale=w=iw:h=ih'];
  return [
    ...(hdr ? toneMapping(hdr) : []),
    // The colours of each field of interlaced frames lie apart.
    `scale=w=${width}:h=${height}:interl=-1${matrix && !hdr ? `:in_color_matrix=${matrix}` : ''}`,
  ];
}

/** EXIF 2.32, section 4.6.4: what brings a picture of each orientation upright. */
const orientations: Readonly<Record<number, readonly string[]>> = {
  2: ['hflip'],
  3: ['hflip', 'vflip'],
  4: ['vflip'],
  5: ['transpose=cclock_flip'],
  6: ['transpose=clock'],
  7: ['transpose=clock_flip'],
  8: ['transpose=cclock'],
};

function toneMapping({ transfer, primaries, matrix }: NonNullable<Look['hdr']>): string[] {
  return [
    `zscale=tin=${transfer}:pin=${primaries}:min=${matrix}:t=linear:npl=${REFERENCE_WHITE}`,
    'format=gbrpf32le',
    'zscale=p=709',
    `tonemap=mobius:param=${LINEAR_UP_TO}:desat=0`,
    'zscale=t=iec61966-2-1:m=gbr:r=full',
    'format=gbrp',
  ];
}

/** Width and height in which a frame is shown, as `lookFilters` makes it. */
export function shownSize(
  { rotation, orientation }: Pick<Look, 'rotation' | 'orientation'>,
  /** The frame as the decoder gives it, after ffmpeg's own rotation. */
  { width, height, sar }: { readonly width: number; readonly height: number; readonly sar: number },
): { width: number; height: number } {
  const square = (edge: number, by: number) => Math.min(Math.max(Math.trunc(edge * by + 0.5), 1), MAX_EDGE);
  if (rotation === 90 || rotation === 270) return { width, height: square(height, 1 / sar) };
  if (orientation === null) return { width: square(width, sar), height };
  return orientation >= 5 ? { width: height, height: width } : { width, height };
}
