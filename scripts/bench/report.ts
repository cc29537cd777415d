import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The machine and the versions that the figures belong to. */
export function machine(): string {
  const version = (name: string) =>
    JSON.parse(readFileSync(join(root, 'node_modules', name, 'package.json'), 'utf8')).version as string;
  const ffmpeg = execFileSync('ffmpeg', ['-version'], { encoding: 'utf8' }).split(' ')[2];
  const cores = cpus();
  return (
    `${cores.length} × ${cores[0]?.model ?? 'unknown processor'}, Node ${process.versions.node}, ` +
    `onnxruntime-node ${version('onnxruntime-node')}, sharp ${version('sharp')}, ffmpeg ${ffmpeg}.`
  );
}

/** Replaces what stands between the two marks of a part of docs/results.md. */
export function writeResults(part: string, text: string): void {
  const file = join(root, 'docs/results.md');
  const [start, end] = [`<!-- ${part} -->`, `<!-- /${part} -->`];
  const before = readFileSync(file, 'utf8');
  const pattern = new RegExp(`${start}[\\s\\S]*${end}`);
  if (!pattern.test(before)) throw new Error(`${file} must hold ${start} and ${end}`);
  writeFileSync(
    file,
    before.replace(pattern, () => `${start}\n\n${text}\n${end}`),
  );
}
