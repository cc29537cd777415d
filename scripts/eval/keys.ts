import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** sha256 over the files of a folder whose names end so. */
export function digestOf(folder: string, ending: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(folder).sort()) {
    if (name.endsWith(ending)) hash.update(name).update(readFileSync(join(folder, name)));
  }
  return hash.digest('hex');
}

/** Of the compiled code on which answers depend; captions and tables are not part of it. */
export function codeDigest(): string {
  const folders = ['../../src/media', '../../src/models', '../../src/pipeline'].map((path) =>
    digestOf(fileURLToPath(new URL(path, import.meta.url)), '.js'),
  );
  const files = ['ask.js', 'controls.js', 'settings.js', 'short-clips.js'].map((name) =>
    readFileSync(new URL(name, import.meta.url), 'utf8'),
  );
  return shortDigest([...folders, ...files]);
}

export function shortDigest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 12);
}
