import type { FileHandle } from 'node:fs/promises';
import { type Entry, MAX_FRAMES } from './frame-index.js';
import { readAt } from './picture-file.js';

/*
 * The table of samples of an MP4 or QuickTime file (ISO/IEC 14496-12), read without the samples themselves: ffprobe's list
 * of packets is the same, but reads the whole file for it, which takes most of the time in which an hour is opened. Only
 * plain files are read here; for fragments, edits that hide frames, and anything odd, ffprobe lists the packets.
 */

/** The packets of a track, in the order of decoding. */
export interface Mp4Track {
  readonly entries: readonly Entry[];
  /** The file ends before the track does. */
  readonly isTruncated: boolean;
  /** Of the whole track, in seconds. */
  readonly durationSeconds: number;
}

const MAX_MOOV_BYTES = 64 * 2 ** 20;
const MAX_BOXES = 4096;

/**
 * @returns the video tracks by their ids as ffprobe prints them (`0x1`), those that are plain; null where the file is no
 *   plain MP4.
 */
export async function readMp4Index(
  file: FileHandle,
  sizeBytes: number,
): Promise<Map<string, Mp4Track> | null> {
  const moov = await findMoov(file, sizeBytes);
  if (!moov) return null;
  try {
    const boxes = boxesIn(moov);
    const movieScale = timescaleOf(boxes.get('mvhd')?.[0]);
    if (boxes.has('mvex') || boxes.has('cmov') || !movieScale) return null;
    const tracks = new Map<string, Mp4Track>();
    for (const trak of boxes.get('trak') ?? []) {
      const read = readTrack(trak, movieScale, sizeBytes);
      if (read) tracks.set(read.id, read.track);
    }
    return tracks;
  } catch (error) {
    // A table that ends too early; ffprobe will say what is wrong.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** The only one, of a file without fragments. */
async function findMoov(file: FileHandle, sizeBytes: number): Promise<Buffer | null> {
  let moov: Buffer | null = null;
  let at = 0;
  for (let i = 0; at < sizeBytes; i++) {
    const head = await readAt(file, at, 16);
    if (head.length < 8 || i >= MAX_BOXES) return moov;
    const name = head.toString('latin1', 4, 8);
    const size = head.readUInt32BE(0);
    const length =
      size === 1 && head.length === 16 ? Number(head.readBigUInt64BE(8)) : size || sizeBytes - at;
    const header = size === 1 ? 16 : 8;
    if (length < header || !/^[\x20-\x7e\xa9]{4}$/.test(name)) return moov;
    if (name === 'moof' || (name === 'moov' && (moov || length > MAX_MOOV_BYTES))) return null;
    if (name === 'moov') moov = await readAt(file, at + header, length - header);
    at += length;
  }
  return moov;
}

type Boxes = ReadonlyMap<string, readonly Buffer[]>;

function boxesIn(content: Buffer | undefined): Boxes {
  const boxes = new Map<string, Buffer[]>();
  for (let at = 0; content && at + 8 <= content.length; ) {
    const size = content.readUInt32BE(at);
    const end = at + size;
    if (size < 8 || end > content.length) break;
    const name = content.toString('latin1', at + 4, at + 8);
    boxes.set(name, [...(boxes.get(name) ?? []), content.subarray(at + 8, end)]);
    at = end;
  }
  return boxes;
}

function only(boxes: Boxes, name: string): Buffer | undefined {
  const found = boxes.get(name);
  return found?.length === 1 ? found[0] : undefined;
}

/** Of a movie or media header. */
function timescaleOf(header: Buffer | undefined): number {
  return header?.readUInt32BE(header[0] === 1 ? 20 : 12) ?? 0;
}

function readTrack(
  trak: Buffer,
  movieScale: number,
  sizeBytes: number,
): { readonly id: string; readonly track: Mp4Track } | null {
  const boxes = boxesIn(trak);
  const header = only(boxes, 'tkhd');
  const media = boxesIn(only(boxes, 'mdia'));
  const info = boxesIn(only(media, 'minf'));
  const table = boxesIn(only(info, 'stbl'));
  const timescale = timescaleOf(only(media, 'mdhd'));
  if (!header || only(media, 'hdlr')?.toString('latin1', 8, 12) !== 'vide' || !timescale) return null;
  // Several descriptions, data in other files, or keyframes of other kinds: not plain.
  if (only(table, 'stsd')?.readUInt32BE(4) !== 1 || table.has('sbgp') || !isSelfContained(info)) return null;
  const edit = readEdit(only(boxesIn(only(boxes, 'edts')), 'elst'), movieScale, timescale);
  const samples = readSamples(table);
  if (!edit || !samples) return null;
  const { dts, pts, duration } = samples;
  const first = pts.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
  const last = pts.reduce((most, time) => Math.max(most, time), 0);
  // Frames that the edit list hides.
  if (first < edit.from || last >= edit.to) return null;
  const whole = samples.ends.findIndex((end) => end > sizeBytes);
  const count = whole < 0 ? samples.ends.length : whole;
  const seconds = (time: number) =>
    Math.round(((time - edit.from) / timescale + edit.delaySeconds) * 1e6) / 1e6;
  const entries = Array.from(
    { length: count },
    (_, i): Entry => ({
      pts: seconds(pts[i]!),
      dts: seconds(dts[i]!),
      duration: Math.min(duration[i]!, edit.to - pts[i]!) / timescale,
      key: samples.isKey(i),
      isHidden: false,
      position: samples.starts[i]!,
      size: samples.ends[i]! - samples.starts[i]!,
    }),
  );
  const durationSeconds = (last + duration.at(-1)! - first) / timescale;
  const id = `0x${header.readUInt32BE(header[0] === 1 ? 20 : 12).toString(16)}`;
  return { id, track: { entries, isTruncated: whole >= 0, durationSeconds } };
}

function isSelfContained(info: Boxes): boolean {
  const dref = only(boxesIn(only(info, 'dinf')), 'dref');
  return dref?.readUInt32BE(4) === 1 && (dref.readUInt32BE(16) & 1) === 1;
}

interface Edit {
  /** In the media's timescale. */
  readonly from: number;
  readonly to: number;
  readonly delaySeconds: number;
}

/** @returns null for more than one edit behind an empty one, and for changes of speed. */
function readEdit(elst: Buffer | undefined, movieScale: number, timescale: number): Edit | null {
  if (!elst) return { from: 0, to: Number.POSITIVE_INFINITY, delaySeconds: 0 };
  const is64 = elst[0] === 1;
  const size = is64 ? 20 : 12;
  const count = elst.readUInt32BE(4);
  if (count < 1 || count > 2) return null;
  const edits = Array.from({ length: count }, (_, i) => {
    const at = 8 + i * size;
    return {
      duration: is64 ? Number(elst.readBigUInt64BE(at)) : elst.readUInt32BE(at),
      from: is64 ? Number(elst.readBigInt64BE(at + 8)) : elst.readInt32BE(at + 4),
      rate: elst.readInt32BE(at + size - 4),
    };
  });
  const [empty, edit] = edits.length === 2 ? edits : [null, edits[0]];
  if (!edit || edit.from < 0 || edit.rate !== 0x10000 || (empty && empty.from !== -1)) return null;
  const length = edit.duration === 0 ? Number.POSITIVE_INFINITY : (edit.duration / movieScale) * timescale;
  return { from: edit.from, to: edit.from + length, delaySeconds: (empty?.duration ?? 0) / movieScale };
}

interface Samples {
  /** In the media's timescale, in the order of decoding. */
  readonly dts: Float64Array;
  readonly pts: Float64Array;
  readonly duration: Float64Array;
  /** Where each sample's bytes begin and end in the file. */
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  isKey(sample: number): boolean;
}

function readSamples(table: Boxes): Samples | null {
  const [stts, stsz, stsc] = ['stts', 'stsz', 'stsc'].map((name) => only(table, name));
  const offsets = chunkOffsets(table);
  if (!stts || !stsz || !stsc || !offsets) return null;
  const count = stsz.readUInt32BE(8);
  if (count > MAX_FRAMES) return null;
  // Tables hold at least a byte for each sample, or the same for all.
  const fixed = stsz.readUInt32BE(4);
  if (count === 0 || (fixed === 0 && stsz.length < 12 + 4 * count)) return null;
  const sizes = new Uint32Array(count).fill(fixed);
  if (!fixed) for (let i = 0; i < count; i++) sizes[i] = stsz.readUInt32BE(12 + 4 * i);
  if (sizes.includes(0)) return null;
  const duration = expandRuns(stts, count);
  const offset = table.has('ctts') ? expandRuns(only(table, 'ctts')!, count) : null;
  const starts = sampleOffsets(stsc, offsets, sizes);
  if (!duration || !starts || (table.has('ctts') && !offset)) return null;
  let time = 0;
  const dts = duration.map((length) => {
    time += length;
    return time - length;
  });
  const stss = only(table, 'stss');
  const keys =
    stss && new Set(Array.from({ length: stss.readUInt32BE(4) }, (_, i) => stss.readUInt32BE(8 + 4 * i) - 1));
  return {
    ...{ dts, duration, starts },
    pts: offset ? dts.map((decoded, i) => decoded + offset[i]!) : dts,
    ends: starts.map((start, i) => start + sizes[i]!),
    isKey: (sample) => keys?.has(sample) ?? true,
  };
}

/** A value for each sample, of a table of (count, value). @returns null where it is not for as many samples. */
function expandRuns(table: Buffer, count: number): Float64Array | null {
  const values = new Float64Array(count);
  const runs = table.readUInt32BE(4);
  let at = 0;
  for (let run = 0; run < runs && at <= count; run++) {
    const length = table.readUInt32BE(8 + 8 * run);
    // Version 0 has no negative offsets, but files of it do.
    const value = table.readInt32BE(12 + 8 * run);
    if (value < -(2 ** 30)) return null;
    values.fill(value, at, at + length);
    at += length;
  }
  return at === count ? values : null;
}

function chunkOffsets(table: Boxes): ((chunk: number) => number) | null {
  const [stco, co64] = [only(table, 'stco'), only(table, 'co64')];
  if (stco) return (chunk) => stco.readUInt32BE(8 + 4 * chunk);
  return co64 ? (chunk) => Number(co64.readBigUInt64BE(8 + 8 * chunk)) : null;
}

function sampleOffsets(
  stsc: Buffer,
  offsetOf: (chunk: number) => number,
  sizes: Uint32Array,
): Float64Array | null {
  const count = sizes.length;
  const runs = stsc.readUInt32BE(4);
  const starts = new Float64Array(count);
  let sample = 0;
  for (let run = 0; run < runs && sample < count; run++) {
    const at = 8 + 12 * run;
    const first = stsc.readUInt32BE(at) - 1;
    const next = run + 1 < runs ? stsc.readUInt32BE(at + 12) - 1 : Number.POSITIVE_INFINITY;
    const samples = stsc.readUInt32BE(at + 4);
    if (samples === 0) return null;
    for (let chunk = first; chunk < next && sample < count; chunk++) {
      let offset = offsetOf(chunk);
      for (let i = 0; i < samples && sample < count; i++, sample++) {
        starts[sample] = offset;
        offset += sizes[sample]!;
      }
    }
  }
  return sample === count ? starts : null;
}
