/** A decoded frame, selected or not, as ffmpeg's filter `showinfo` tells of it. */
export interface LoggedFrame {
  /** Which of the stretches that a process decodes; see `showFrames`. Null where another message hides it. */
  readonly stretch: number | null;
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

/**
 * The filters that tell of each frame of a stretch. They are named, so that stretches are told apart. What encoders write of
 * themselves would be told byte by byte.
 */
export function showFrames(stretch: number): string {
  return `sidedata=mode=delete:type=SEI_UNREGISTERED,showinfo@s${stretch}=checksum=0`;
}

/**
 * Anywhere in a line: threads of ffmpeg write their messages in pieces, so one may stand before the other's, which then
 * comes without its own beginning, or behind it.
 */
const frameText =
  /(?:\[showinfo@s(\d+) @ \w+\] \[info\] )?n: *\d+ pts: *(-?\d+|NOPTS) .*? sar:(\d+)\/(\d+) s:(\d+)x(\d+) i:(\S+) iskey:(\d) type:(\S)/g;

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
  const takeFrame = (match: RegExpMatchArray) => {
    const [, stretch, micros, sarWidth, sarHeight, width, height, fields, isKey, type] = match;
    const sar = Number(sarWidth) / Number(sarHeight);
    onFrame({
      stretch: stretch === undefined ? null : Number(stretch),
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
  };
  const takeWords = (words: string) => {
    const complained = /\[(error|fatal|panic)\]/.test(words) && !harmless.test(words);
    isCorrupt ||= words.includes('corrupt decoded frame');
    said.lost ||= lost.test(words);
    said.guessed ||= guessed.test(words) && !harmless.test(words);
    said.complained ||= complained;
    return complained;
  };
  return (line) => {
    let isWorthKeeping = false;
    let end = 0;
    for (const match of line.matchAll(frameText)) {
      isWorthKeeping = takeWords(line.slice(end, match.index)) || isWorthKeeping;
      takeFrame(match);
      end = match.index + match[0].length;
    }
    return takeWords(line.slice(end)) || isWorthKeeping;
  };
}
