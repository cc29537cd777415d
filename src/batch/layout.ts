import type { FaultKind } from '../../queues/schemas.js';
import { settingsError } from './errors.js';
import type { Preset } from './presets/preset.js';

/** What a column may mean to a batch. */
export const roles = [
  'video',
  'question',
  'start',
  'end',
  'frames',
  'id',
  'options',
  'answer',
  'category',
] as const;
export type Role = (typeof roles)[number];

/**
 * Which fields of a row mean what. Of several names the first counts that the row has a value for; the options are the values of
 * all of them, one after the other.
 */
export type Columns = Readonly<Partial<Record<Role, string | readonly string[]>>>;

/** How the rows of a file are read. */
export interface Layout {
  readonly columns: Columns;
  /** Paths of videos are relative to it; null where videos are named and still to be looked for. */
  readonly folder: string | null;
  readonly preset?: Preset;
  /** What columns are named for by the user. */
  readonly mapped?: readonly Role[];
  /** The field that names a row; without, rows are known by what they hold. */
  readonly idField?: string;
  /** The file's name, by which some benchmarks say what all of its rows are about. */
  readonly file: string;
}

/** Where nobody says otherwise, a column means what it is called. */
const plainColumns: Columns = Object.fromEntries(
  roles.filter((role) => role !== 'id').map((role) => [role, role]),
);

export interface LayoutOptions {
  readonly file: string;
  readonly folder: string | null;
  readonly preset?: Preset;
  readonly map?: Columns;
  readonly idField?: string;
}

export function layoutOf({ file, folder, preset, map = {}, idField }: LayoutOptions): Layout {
  const columns = { ...(preset?.columns ?? plainColumns), ...map };
  const [id] = [columns.id ?? []].flat();
  const mapped = roles.filter((role) => map[role] !== undefined);
  return { file, folder, preset, columns, mapped, idField: idField ?? id };
}

/** The columns that mean this. */
export function namesOf(
  role: Role,
  { columns, idField }: Pick<Layout, 'columns' | 'idField'>,
): readonly string[] {
  return [(role === 'id' ? idField : columns[role]) ?? []].flat();
}

export function columnOf(role: Role, layout: Layout): string {
  return namesOf(role, layout)
    .map((name) => `\`${name}\``)
    .join(' or ');
}

/** `video=clip_name,question=q`; of several columns `options=a0+a1+a2`. */
export function parseMap(text: string): Columns {
  const pairs = text.split(',').map((pair) => pair.trim().split('='));
  for (const [role = '', column = ''] of pairs) {
    if (!(roles as readonly string[]).includes(role) || column === '')
      throw settingsError(
        `expected pairs such as video=clip_name,question=q with ${roles.join(', ')} to the left, got "${text}"`,
      );
  }
  const twice = pairs.find(([role], i) => pairs.findIndex(([other]) => other === role) < i)?.[0];
  if (twice !== undefined) throw settingsError(`${twice} stands twice in "${text}": which column is it?`);
  return Object.fromEntries(
    pairs.map(([role, ...column]) => {
      const names = column.join('=').split('+');
      return [role, names.length > 1 ? names : names[0]!];
    }),
  );
}

/** What is wrong with a row itself, as one kind of fault among those of jobs. */
export type RowFault = FaultKind | 'row';
