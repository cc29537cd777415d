import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { settingsError } from './errors.js';
import { Fingerprints, fingerprintOf, fingerprintOfKey } from './fingerprints.js';
import type { Layout } from './layout.js';
import { readMembers } from './members.js';
import { MissingColumns } from './missing-columns.js';
import type { RowFile, SourceRow } from './readers/index.js';
import { identify, namesOfOptions, parseRow, type Row } from './rows.js';

/** Which rows of a file are to be answered. */
export interface Choice {
  /** The first so many of those that the others leave. */
  readonly limit?: number;
  /** One of `count` parts, from 1: rows about one video are in one part. */
  readonly shard?: { readonly part: number; readonly count: number };
  /** Rows of these names; of a file without names, of these numbers from 1. */
  readonly only?: readonly string[];
}

/** What a first reading of a file finds out, without keeping its rows. */
export interface Survey {
  readonly rows: Fingerprints;
  /** How many rows are to be answered. */
  readonly wanted: number;
  isWanted(index: number): boolean;
  /** Fields among the first rows that look like options. */
  readonly unreadOptions: readonly string[];
  /** Columns that the user names and no row has. */
  readonly absentColumns: readonly string[];
}

/** How many rows are looked at for fields that look like options. */
const lookedAt = 1_000;

/**
 * Reads a file once, to know its rows again by what they hold.
 *
 * @throws InputError for two rows of one name, for a file that is not whole, and where no row has the columns that all need
 */
export async function surveyRows(
  file: RowFile,
  layout: Layout,
  choice: Choice,
  signal?: AbortSignal,
): Promise<Survey> {
  const rows = new Fingerprints();
  const names = layout.idField === undefined ? null : new Names(layout.idField);
  const chooser = new Chooser(choice, layout);
  const unread = new Set<string>();
  const missing = new MissingColumns(layout);
  for await (const source of file.rows()) {
    if (rows.size % 4096 === 0) signal?.throwIfAborted();
    if (rows.size < lookedAt) noteOptions(source, layout, unread);
    if (missing.areOpen) noteColumns(source, missing);
    const identity = identify(source, layout.idField);
    if (identity.key !== undefined) names?.add(identity.key, rows.size);
    chooser.add(source, identity.key, rows.size);
    rows.add(fingerprintOf(identity));
  }
  missing.refuse(file.file);
  chooser.checkFound();
  const { wanted, isWanted } = chooser;
  return { rows, wanted, isWanted, unreadOptions: [...unread], absentColumns: missing.unread };
}

function noteColumns({ text, error }: SourceRow, missing: MissingColumns): void {
  const members = error === undefined ? readMembers(text) : null;
  if (members) missing.note(members);
}

function noteOptions(source: SourceRow, layout: Layout, unread: Set<string>): void {
  for (const name of namesOfOptions([parseRow(source, 0, layout)])) unread.add(name);
}

/** The names of rows, each there once. */
class Names {
  readonly #idField: string;
  readonly #names = new Fingerprints();
  /** The number of the row of each name. */
  readonly #rows: number[] = [];

  constructor(idField: string) {
    this.#idField = idField;
  }

  add(key: string, index: number): void {
    const fingerprint = fingerprintOfKey(key);
    const twin = this.#names.first(fingerprint);
    if (twin >= 0)
      throw settingsError(
        `--id-field ${this.#idField}: rows ${this.#rows[twin]! + 1} and ${index + 1} are both named ${key}`,
      );
    this.#names.add(fingerprint);
    this.#rows.push(index);
  }
}

class Chooser {
  wanted = 0;
  readonly #choice: Choice;
  readonly #layout: Layout;
  readonly #found = new Set<string>();
  /** A bit a row. */
  #bits = new Uint8Array(1024);

  constructor(choice: Choice, layout: Layout) {
    this.#choice = choice;
    this.#layout = layout;
  }

  readonly isWanted = (index: number): boolean => ((this.#bits[index >> 3] ?? 0) & (1 << (index & 7))) !== 0;

  add(source: SourceRow, key: string | undefined, index: number): void {
    const { limit = Number.POSITIVE_INFINITY } = this.#choice;
    // By name first: a name counts as found beyond the limit, too.
    if (!this.#isNamed(key, index) || this.wanted >= limit || !this.#isInShard(source)) return;
    if (index >> 3 >= this.#bits.length) {
      const bits = new Uint8Array(this.#bits.length * 2);
      bits.set(this.#bits);
      this.#bits = bits;
    }
    this.#bits[index >> 3]! |= 1 << (index & 7);
    this.wanted++;
  }

  /** @throws InputError for a name that no row has. */
  checkFound(): void {
    const missing = this.#choice.only?.find((name) => !this.#found.has(name));
    if (missing === undefined) return;
    const { idField } = this.#layout;
    const what = idField === undefined ? 'number (from 1)' : `\`${idField}\``;
    throw settingsError(`--only ${missing}: no row has this ${what}`);
  }

  #isNamed(key: string | undefined, index: number): boolean {
    const { only } = this.#choice;
    if (!only) return true;
    const names = this.#layout.idField === undefined ? [String(index + 1)] : namesOfKey(key);
    const name = only.find((name) => names.includes(name));
    if (name !== undefined) this.#found.add(name);
    return name !== undefined;
  }

  #isInShard(source: SourceRow): boolean {
    const { shard } = this.#choice;
    if (!shard) return true;
    const { given } = parseRow(source, 0, this.#layout);
    // The name as the row gives it: folders differ from machine to machine.
    const name = given ? posix.normalize(given.video) : source.text;
    const digest = createHash('sha256').update(name).digest();
    return digest.readUInt32BE(0) % shard.count === shard.part - 1;
  }
}

/** A text may be given with and without its quotes. */
function namesOfKey(key = ''): string[] {
  return key.startsWith('"') ? [key, JSON.parse(key)] : [key];
}

/**
 * Reads a surveyed file again, and gives the rows that `isWaiting` lets through.
 *
 * @throws InputError where the file is not what it was
 */
export async function* rowsAgain(
  file: RowFile,
  layout: Layout,
  { rows }: Survey,
  isWaiting: (index: number) => boolean,
): AsyncGenerator<Row> {
  const changed = (index: number) =>
    settingsError(`${file.file} changed while it was read: see row ${index + 1}`);
  let index = 0;
  for await (const source of file.rows()) {
    if (!rows.has(index, fingerprintOf(identify(source, layout.idField)))) throw changed(index);
    if (isWaiting(index)) yield parseRow(source, index, layout);
    index++;
  }
  if (index < rows.size) throw changed(index);
}
