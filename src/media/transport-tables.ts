import type { FileHandle } from 'node:fs/promises';
import { readAt } from './picture-file.js';

/** Packets of a transport stream, alone and with the time that recorders put before each. */
const PACKET_SIZES = [188, 192];
/** As many packets before a picture are looked through for the tables that it needs. */
const MAX_PACKETS = 64;
const SYNC = 0x47;

/**
 * Where decoding has to begin so that the tables which tell what a transport stream holds are read before a picture (ISO/IEC
 * 13818-1, section 2.4.4): at the last program association table before it.
 *
 * @param position of the packet with which the picture begins, in bytes.
 */
export async function findTables(file: FileHandle, position: number): Promise<number> {
  for (const size of PACKET_SIZES) {
    const start = Math.max(position % size, position - MAX_PACKETS * size);
    const bytes = await readAt(file, start, position - start);
    for (let at = bytes.length - size; at >= 0; at -= size) {
      if (bytes[at] !== SYNC) break;
      // A packet of identifier 0 in which a table begins.
      if ((bytes.readUInt16BE(at + 1) & 0x5fff) === 0x4000) return start + at;
    }
  }
  return position;
}
