import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder with package.json, above the source and the compiled file alike. */
export function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder);
  return folder;
}

export function packageVersion(): string {
  return JSON.parse(readFileSync(join(findPackageRoot(), 'package.json'), 'utf8')).version;
}

/** Path of the folder of the model that ships with this package, for `loadModel`. */
export const shippedModel = join(findPackageRoot(), 'models/nano');
