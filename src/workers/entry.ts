import { fileURLToPath } from 'node:url';

/**
 * Path of a compiled file that can be started as a process.
 *
 * @param name of the file beside the caller, with the ending `.js`.
 * @param importMetaUrl the caller's `import.meta.url`: where that is TypeScript (as under vitest), the compiled
 *   file lies in `dist`.
 */
export function compiledEntry(name: string, importMetaUrl: string): string {
  const path = fileURLToPath(new URL(name, importMetaUrl));
  if (!importMetaUrl.endsWith('.ts')) return path;
  const at = path.lastIndexOf('/src/');
  return `${path.slice(0, at)}/dist${path.slice(at)}`;
}
