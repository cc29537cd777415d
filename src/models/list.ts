import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { manifestFile } from './folder.js';
import { tellDtypes } from './layout.js';
import { dtypesOf, manifestSchema } from './manifest.js';

/** A folder that is, or may become, a model. */
export interface ListedModel {
  /** As jobs name it. */
  readonly name: string;
  readonly dir: string;
  /** What it is, or what is missing. */
  readonly state: string;
}

/** The models below some folders, by name. */
export async function listModels(dirs: readonly string[]): Promise<ListedModel[]> {
  const models: ListedModel[] = [];
  for (const parent of dirs) {
    const entries = await readdir(parent, { withFileTypes: true }).catch(() => []);
    for (const { name } of entries.filter((entry) => entry.isDirectory())) {
      const dir = join(parent, name);
      models.push({ name, dir, state: await stateOf(dir) });
    }
  }
  return models.sort((a, b) => a.name.localeCompare(b.name));
}

async function stateOf(dir: string): Promise<string> {
  const text = await readFile(join(dir, manifestFile), 'utf8').catch(() => null);
  if (text === null) return 'not prepared';
  try {
    const manifest = manifestSchema.parse(JSON.parse(text));
    return `${manifest.family}, ${tellDtypes(dtypesOf(manifest))}`;
  } catch {
    return `${manifestFile} is broken`;
  }
}
