import type { Range, Row } from './rows.js';

/** What one job may hold: the schema's number of questions, and text well below the size of a job. */
const maxQuestions = 256;
const maxCharacters = 200_000;

/** Rows about one part of a video, answered by one job so that it is encoded once. */
export interface Group {
  readonly video: string;
  readonly range: Range;
  readonly rows: readonly Row[];
}

/** Groups rows by video and range, in the order in which they first occur. */
export function groupByVideo(rows: readonly Row[]): Group[] {
  const groups: { video: string; range: Range; rows: Row[] }[] = [];
  const open = new Map<string, Row[]>();
  for (const row of rows) {
    if (!row.ask) continue;
    const { video, range } = row.ask;
    const place = JSON.stringify([video, range]);
    const current = open.get(place);
    if (current && hasRoom(current, row)) {
      current.push(row);
    } else {
      const fresh = [row];
      open.set(place, fresh);
      groups.push({ video, range, rows: fresh });
    }
  }
  return groups;
}

function hasRoom(group: readonly Row[], row: Row): boolean {
  const characters = [...group, row].reduce((sum, { ask }) => sum + ask!.question.length, 0);
  return group.length < maxQuestions && characters <= maxCharacters;
}
