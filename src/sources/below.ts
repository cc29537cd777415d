import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { InputError } from '../errors.js';
import { notReadable, quotePath } from '../media/not-readable.js';

/**
 * The real path of a file inside one of the folders, symbolic links resolved on both sides.
 *
 * @throws InputError when it does not exist or lies elsewhere.
 */
export async function resolveBelow(path: string, folders: readonly string[]): Promise<string> {
  const real = await realpath(path).catch((error: NodeJS.ErrnoException) => {
    throw notReadable(path, error);
  });
  for (const folder of folders) {
    const root = await realpath(folder).catch(() => null);
    if (root !== null && real.startsWith(root.endsWith(sep) ? root : root + sep)) return real;
  }
  const allowed = folders.length === 0 ? 'none' : folders.map(quotePath).join(', ');
  const target = real === path ? '' : ` (really ${quotePath(real)})`;
  throw new InputError(`${quotePath(path)}${target} lies outside the allowed folders: ${allowed}`);
}
