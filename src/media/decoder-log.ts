/** A decoded frame, selected or not, as ffmpeg's filter `showinfo` tells of it. */
export interface LoggedFrame {
  /** Which of the stretches that a process decodes; see `showFrames`. */
  readonly stretch: number;
  /** Its time in microseconds; NaN where it has none. */
  readonly micros: number;
  /** After rotation, before pixels are made square. */
  readonly width: number;
  readonly height: number;
  readonly sar: number;
  /** Of an interlaced frame, the field that is shown first. */
  readonly firstField: 'top' | 'bottom' | null;
  /** Made without looking at other frames. */
  readonly isIntra: boolean;
  /** The decoder filled gaps in it by guessing, and says so of this very frame. */
  readonly isCorrupt: boolean;
  /**
   * What the decoder said since the frame before, in the order of decoding, which is not that of showing: it could not
   * read a packet, it had to guess, or it complained of anything at all.
   */
  readonly said: { readonly lost: boolean; readonly guessed: boolean; readonly complained: boolean };
}

/** The filter that tells of each frame of a stretch. It is named, so that stretches are told apart. */
export function showFrames(stretch: number): string {
  return `showinfo@s${stretch}=checksum=0`;
}

const frameLine =
  /^\[showinfo@s(\d+) @ \w+\] \[info\] n: *\d+ pts: *(-?\d+|NOPTS) .* sar:(\d+)\/(\d+) s:(\d+)x(\d+) i:(\S+) iskey:(\d) type:(\S)/;

/** A packet that gave nothing (ffmpeg's own words, up to 6 and since). */
const lost = /Error while decoding stream|Error submitting packet to decoder/;
/** A frame made from others that are not there; H.265's decoder has no other word of damage. */
const guessed =
  /\] concealing |co located POCs unavailable|eference picture missing|issing reference|Could not find ref|^\[hevc @ \w+\] \[error\]/;
/**
 * What a decoder complains of though nothing is missing: found in files that every player shows whole. Knowing them
 * only saves a second look.
 */
const harmless =
  /not on whitelist|SEI type \d+ size \d+ truncated|mmco: unref short failure|number of reference frames .* exceeds max|non monotonically increasing dts/;

/**
 * Follows the error output of ffmpeg at level `repeat+level+info`, where frames, complaints and notes of corruption
 * come in the order in which they happened: with one thread, a note stands right before its frame.
 *
 * @returns a function that takes a line, and says whether it is worth keeping for people.
 */
export function followLog(onFrame: (frame: LoggedFrame) => void): (line: string) => boolean {
  const nothing = { lost: false, guessed: false, complained: false };
  let said = { ...nothing };
  let isCorrupt = false;
  return (line) => {
    const [, stretch, micros, sarWidth, sarHeight, width, height, fields, isKey, type] =
      frameLine.exec(line) ?? [];
    if (stretch !== undefined) {
      const sar = Number(sarWidth) / Number(sarHeight);
      onFrame({
        stretch: Number(stretch),
        micros: Number(micros),
        width: Number(width),
        height: Number(height),
        sar: sar > 0 && Number.isFinite(sar) ? sar : 1,
        firstField: fields === 'T' ? 'top' : fields === 'B' ? 'bottom' : null,
        isIntra: isKey === '1' || type === 'I',
        isCorrupt,
        said,
      });
      said = { ...nothing };
      isCorrupt = false;
      return false;
    }
    const complained = /\[(error|fatal|panic)\]/.test(line) && !harmless.test(line);
    isCorrupt ||= line.includes('corrupt decoded frame');
    said.lost ||= lost.test(line);
    said.guessed ||= guessed.test(line) && !harmless.test(line);
    said.complained ||= complained;
    return complained;
  };
}
