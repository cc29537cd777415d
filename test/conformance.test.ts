import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const script = fileURLToPath(new URL('../dist/scripts/conformance.js', import.meta.url));
const fixtures = fileURLToPath(new URL('fixtures/visionzip', import.meta.url));

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'visionzip-conformance-'));
});

afterAll(() => rmSync(folder, { recursive: true }));

function conform(cases: string) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, cases], { encoding: 'utf8' });
  return { status, stderr, lines: stdout.trim().split('\n') };
}

/** The fixtures with one of them changed. */
function changed(name: string, change: (file: string) => void): string {
  const copy = mkdtempSync(join(folder, 'cases-'));
  cpSync(fixtures, copy, { recursive: true });
  change(join(copy, name));
  return copy;
}

describe('npm run conformance', () => {
  it('prints a line a case and exits 0 when all agree', () => {
    const { status, lines } = conform(fixtures);
    expect(status).toBe(0);
    expect(lines).toHaveLength(10);
    for (const line of lines) expect(line).toMatch(/^\S+ maxAbsError=\d\.\d\de[+-]\d+ dominant=exact$/);
  });

  it('exits 1 when a value differs by more than 1e-5', () => {
    const { status, lines } = conform(
      changed('cls-9-2/expected.f32', (file) => {
        const bytes = readFileSync(file);
        bytes.writeFloatLE(bytes.readFloatLE(0) + 1e-3, 0);
        writeFileSync(file, bytes);
      }),
    );
    expect(status).toBe(1);
    expect(lines.find((line) => line.startsWith('cls-9-2 '))).toMatch(/maxAbsError=1\.00e-3 dominant=exact/);
  });

  it('exits 1 when an index differs', () => {
    const { status, lines } = conform(
      changed('nocls-one-dominant/case.json', (file) => {
        const spec = JSON.parse(readFileSync(file, 'utf8'));
        spec.dominantIndices[0][0] += 1;
        writeFileSync(file, JSON.stringify(spec));
      }),
    );
    expect(status).toBe(1);
    expect(lines.find((line) => line.startsWith('nocls-one-dominant '))).toContain('dominant=differs');
  });

  it('names a case that cannot be read, and goes on with the others', () => {
    const { status, lines, stderr } = conform(changed('cls-ties/keys.f32', (file) => truncateSync(file, 8)));
    expect(status).toBe(1);
    expect(lines).toHaveLength(9);
    expect(stderr).toContain('cls-ties is no case: keys.f32 must hold 136 float32 numbers, it has 8 bytes');
  });

  it('exits 2 for a folder that is not there', () => {
    expect(conform(join(folder, 'nowhere'))).toMatchObject({ status: 2 });
  });
});
