import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.js';
import { describeModel } from '../models/folder.js';

/** What a result says of its model, and where that lies. */
export interface CatalogModel {
  readonly dir: string;
  readonly name: string;
  readonly dtype: string;
  readonly digest: string;
}

/** The models below the model folders. A digest is remembered for as long as no file of the folder changes. */
export class Catalog {
  readonly #dirs: readonly string[];
  readonly #remembered = new Map<string, { readonly version: string; readonly model: CatalogModel }>();

  constructor(dirs: readonly string[]) {
    this.#dirs = dirs;
  }

  /** @throws InputError for an unknown model, and one with a file missing or broken. */
  async find(name: string): Promise<CatalogModel> {
    for (const parent of this.#dirs) {
      const dir = join(parent, name);
      const version = await versionOf(dir);
      if (version === null) continue;
      const known = this.#remembered.get(dir);
      if (known?.version === version) return known.model;
      const { digest, dtype, name: modelName } = await describeModel(dir);
      const model = { dir, name: modelName, dtype, digest };
      this.#remembered.set(dir, { version, model });
      return model;
    }
    const names = (await Promise.all(this.#dirs.map(foldersIn))).flat();
    throw new InputError(
      `expected a model below ${this.#dirs.join(' or ')}, got ${JSON.stringify(name)}; ` +
        (names.length > 0 ? `there is ${names.join(', ')}` : 'there is none'),
      { fault: 'model' },
    );
  }
}

/** Changes with every file of the folder; null where there is no folder. */
async function versionOf(dir: string): Promise<string | null> {
  const names = await readdir(dir, { recursive: true }).catch(() => null);
  if (names === null) return null;
  const entries = names.sort().map(async (name) => {
    const { size, mtimeMs, ino } = await stat(join(dir, name));
    return `${name}:${size}:${mtimeMs}:${ino}`;
  });
  return (await Promise.all(entries)).join('\n');
}

async function foldersIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
