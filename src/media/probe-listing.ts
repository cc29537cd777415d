import type { Entry } from './frame-index.js';

/** A stream as ffprobe lists it. */
export interface ListedStream {
  readonly index: number;
  /** The container's own number of it, in hexadecimal, where it has one (MPEG-TS, MPEG-PS, MP4). */
  readonly id: string | null;
  readonly type: string;
  readonly codec: string;
  /** As it is coded, in pixels; 0 where that is not known. */
  readonly width: number;
  readonly height: number;
  /** Sample aspect ratio, width ÷ height of a pixel; 1 where none is said. */
  readonly sar: number;
  readonly pixelFormat: string;
  /** Frames that a decoder holds back to put them into the order of showing. */
  readonly reordered: number;
  readonly colour: {
    readonly range: string;
    readonly space: string;
    readonly transfer: string;
    readonly primaries: string;
  };
  /** In seconds, where the header says it. */
  readonly startTime: number | undefined;
  readonly duration: number | undefined;
  readonly isDefault: boolean;
  readonly isCover: boolean;
  /** Clockwise, in degrees: 0, 90, 180 or 270. */
  readonly rotation: number;
}

/** What one run of ffprobe said. */
export interface Listing {
  readonly streams: readonly ListedStream[];
  /** Packets or frames, by the index of their stream, in the order of the file. */
  readonly entries: ReadonlyMap<number, readonly Entry[]>;
  readonly formatName: string;
  /** In seconds. */
  readonly startTime: number | undefined;
  readonly duration: number | undefined;
  /** The last of its error output. */
  readonly complaints: string;
}

/**
 * Reads ffprobe's `compact` output.
 *
 * @param lines as many at a time as have come; returns the error output at the end.
 * @param check sees the entries of each stream now and then, and throws to stop reading.
 */
export async function parseListing(
  lines: AsyncGenerator<string[], string>,
  check: (entries: readonly Entry[]) => void,
): Promise<Listing> {
  const entries = new Map<number, Entry[]>();
  const streams = new Map<number, ListedStream>();
  let format: Fields = new Map();
  try {
    for (;;) {
      const { done, value } = await lines.next();
      if (done) {
        const [startTime, duration] = ['start_time', 'duration'].map((name) => numberOf(format, name));
        const formatName = format.get('format_name') ?? 'unknown';
        return {
          streams: [...streams.values()],
          entries,
          formatName,
          startTime,
          duration,
          complaints: value,
        };
      }
      for (const line of value) {
        if (line.startsWith('packet|') || line.startsWith('frame|')) addEntry(entries, line);
        else if (line.startsWith('stream|')) addStream(streams, fieldsOf(line));
        else if (line.startsWith('format|')) format = fieldsOf(line);
      }
      for (const list of entries.values()) check(list);
    }
  } finally {
    await lines.return('');
  }
}

/** A stream of several programs is listed with each, and then once more. */
function addStream(streams: Map<number, ListedStream>, fields: Fields): void {
  const stream = parseStream(fields);
  streams.set(stream.index, stream);
}

type Fields = ReadonlyMap<string, string>;

function fieldsOf(line: string): Fields {
  return new Map(
    line.split('|').flatMap((field) => {
      const at = field.indexOf('=');
      return at < 0 ? [] : [[field.slice(0, at), field.slice(at + 1)] as const];
    }),
  );
}

/** Of MPEG-4 Part 2: a frame that is not coded. */
const PLACEHOLDER_BYTES = 8;

function addEntry(entries: Map<number, Entry[]>, line: string): void {
  const fields = fieldsOf(line);
  const flags = fields.get('flags') ?? '';
  const number = (...names: string[]) => {
    for (const name of names) {
      const value = Number.parseFloat(fields.get(name) ?? '');
      if (!Number.isNaN(value)) return value;
    }
    return Number.NaN;
  };
  const stream = number('stream_index');
  const list = entries.get(stream) ?? [];
  entries.set(stream, list);
  list.push({
    pts: number('pts_time', 'best_effort_timestamp_time'),
    dts: number('dts_time', 'pkt_dts_time'),
    duration: number('duration_time', 'pkt_duration_time'),
    key: flags.includes('K') || fields.get('key_frame') === '1',
    isHidden: flags.includes('D'),
    isPlaceholder: number('size') <= PLACEHOLDER_BYTES,
    position: number('pos', 'pkt_pos'),
    size: number('size', 'pkt_size'),
  });
}

function parseStream(fields: Fields): ListedStream {
  const text = (name: string) => {
    const value = fields.get(name) ?? 'unknown';
    return value === 'N/A' || value === 'unspecified' ? 'unknown' : value;
  };
  const id = text('id');
  const rotation = [...fields].find(([name]) => name.endsWith('rotation'))?.[1];
  return {
    index: Number(text('index')),
    id: id === 'unknown' ? null : id,
    type: text('codec_type'),
    codec: text('codec_name'),
    width: numberOf(fields, 'width') ?? 0,
    height: numberOf(fields, 'height') ?? 0,
    sar: ratio(text('sample_aspect_ratio')),
    pixelFormat: text('pix_fmt'),
    reordered: numberOf(fields, 'has_b_frames') ?? 0,
    colour: {
      range: text('color_range'),
      space: text('color_space'),
      transfer: text('color_transfer'),
      primaries: text('color_primaries'),
    },
    startTime: numberOf(fields, 'start_time'),
    duration: numberOf(fields, 'duration'),
    isDefault: fields.get('disposition:default') === '1',
    isCover: fields.get('disposition:attached_pic') === '1',
    rotation: clockwise(Number(rotation ?? 0)),
  };
}

function numberOf(fields: Fields, name: string): number | undefined {
  const value = Number.parseFloat(fields.get(name) ?? '');
  return Number.isNaN(value) ? undefined : value;
}

function ratio(text: string): number {
  const [, width, height] = /^(\d+):(\d+)$/.exec(text) ?? [];
  const value = Number(width) / Number(height);
  return value > 0 && Number.isFinite(value) ? value : 1;
}

/** ffprobe counts anticlockwise, and rotations between the right angles are left to ffmpeg. */
function clockwise(rotation: number): number {
  const turns = Math.round(-rotation / 90);
  return Math.abs(turns * 90 + rotation) > 1 ? 0 : (((turns % 4) + 4) % 4) * 90;
}
