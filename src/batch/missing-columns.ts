import { settingsError } from './errors.js';
import { columnOf, type Layout, namesOf, type Role, roles } from './layout.js';
import type { Row } from './rows.js';

/** Without them no row can be asked. */
const needed: readonly Role[] = ['video', 'question', 'id'];
/** Columns that are named in an error. */
const mostNamed = 12;

/** Finds out which columns no row of a file has: one that is misspelt would fail every row, or be passed over without a word. */
export class MissingColumns {
  readonly #layout: Layout;
  /** What no row had so far. */
  readonly #missing: Set<string>;
  /** The columns of the first row that has some. */
  #first: readonly string[] | undefined;

  constructor(layout: Layout) {
    this.#layout = layout;
    const asked = roles.filter((role) => needed.includes(role) || layout.mapped?.includes(role));
    this.#missing = new Set(asked.flatMap((role) => namesOf(role, layout)));
    this.#missing.delete('-');
  }

  /** Whether further rows are worth a look. */
  get areOpen(): boolean {
    return this.#missing.size > 0;
  }

  note(members: Row['members']): void {
    this.#first ??= members.map(({ name }) => name);
    for (const { name } of members) this.#missing.delete(name);
  }

  /** @throws InputError where no row has what every row needs */
  refuse(file: string): void {
    if (!this.#first) return;
    const roles = needed.filter((role) => this.#lacks(role));
    if (roles.length === 0) return;
    const columns = roles.map((role) => `${columnOf(role, this.#layout)} (its ${role})`).join(', nor ');
    const there = this.#first.slice(0, mostNamed).map((name) => `\`${name}\``);
    throw settingsError(
      `no row of ${file} has ${columns}: the first has ${there.join(', ')}; --map names other columns`,
    );
  }

  /** Columns that --map names and no row has, where others stand in for none of them. */
  get unread(): string[] {
    if (!this.#first) return [];
    const { mapped = [] } = this.#layout;
    const names = mapped.flatMap((role) =>
      role === 'options' || this.#lacks(role) ? namesOf(role, this.#layout) : [],
    );
    return names.filter((name) => this.#missing.has(name));
  }

  /** Of several columns the first counts that a row has. */
  #lacks(role: Role): boolean {
    const names = namesOf(role, this.#layout);
    return names.length > 0 && names.every((name) => this.#missing.has(name));
  }
}
