import { textOf } from '../pipeline/questions.js';
import type { Range, Row } from './rows.js';

/** What one job may hold: the schema's number of questions, and text well below the size of a job. */
const maxQuestions = 256;
const maxCharacters = 200_000;
/** What a window may hold: rows, and characters of their fields. */
const windowRows = 1_000;
const windowCharacters = 8_000_000;

/** Rows about one part of a video, answered by one job so that it is encoded once. */
export interface Group {
  readonly video: string;
  readonly range: Range;
  readonly frames?: number;
  readonly rows: readonly Row[];
}

/**
 * Rows that wait, grouped by what of a video they are about, in the order in which those first occur. It is filled while rows are asked,
 * so that a file of any length takes the same memory. Rows about one video that lie further apart are jobs of their own: their worker
 * then finds the video encoded in its store.
 */
export class Window {
  readonly #groups = new Map<string, Group & { rows: Row[] }>();
  #rows = 0;
  #characters = 0;

  get isFull(): boolean {
    return this.#rows >= windowRows || this.#characters >= windowCharacters;
  }

  add(row: Row): void {
    const { video, range, frames } = row.ask!;
    const place = JSON.stringify([video, range, frames]);
    const group = this.#groups.get(place);
    if (group) group.rows.push(row);
    else this.#groups.set(place, { video, range, ...(frames && { frames }), rows: [row] });
    this.#rows++;
    this.#characters += sizeOf(row);
  }

  /** The rows that wait longest, as many of one group as a job may hold; undefined where none wait. */
  take(): Group | undefined {
    const [first] = this.#groups;
    if (!first) return undefined;
    const [place, group] = first;
    const rows = group.rows.splice(0, roomFor(group.rows));
    if (group.rows.length === 0) this.#groups.delete(place);
    this.#rows -= rows.length;
    for (const row of rows) this.#characters -= sizeOf(row);
    return { ...group, rows };
  }
}

/** How many of the rows one job may hold. */
function roomFor(rows: readonly Row[]): number {
  let characters = 0;
  const over = rows.findIndex((row) => {
    characters += textOf(row.ask!.question).length;
    return characters > maxCharacters;
  });
  return Math.min(over < 0 ? rows.length : over, maxQuestions);
}

function sizeOf({ members, ask }: Row): number {
  return members.reduce((sum, { text }) => sum + text.length, textOf(ask!.question).length);
}
