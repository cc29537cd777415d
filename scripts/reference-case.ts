import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { compressFrame } from '../src/pipeline/compress.js';

/*
 * A reference case of VisionZip is a folder with `case.json` and little-endian float32 arrays, row-major:
 * hidden (B, N, D), keys (B, N, K), expected (B, T, D), and cls_attention (B, heads, N−1) where token 0 is
 * CLS, else scores (B, N).
 */

const caseSchema = z.object({
  cls: z.boolean(),
  hidden: z.tuple([z.int(), z.int(), z.int()]),
  keys: z.tuple([z.int(), z.int(), z.int()]),
  cls_attention: z.tuple([z.int(), z.int(), z.int()]).optional(),
  dominant: z.int(),
  contextual: z.int(),
  dominantIndices: z.array(z.array(z.int())),
});

/** Largest absolute difference over the batch, and whether the dominant rows are the reference's. */
export function runCase(folder: string): { maxAbsError: number; exact: boolean } {
  const spec = caseSchema.parse(JSON.parse(readFileSync(join(folder, 'case.json'), 'utf8')));
  const [B, N, D] = spec.hidden;
  const K = spec.keys[2];
  const T = spec.dominant + spec.contextual;
  const hidden = readFloats(folder, 'hidden', B * N * D);
  const keys = readFloats(folder, 'keys', B * N * K);
  const expected = readFloats(folder, 'expected', B * T * D);
  const P = spec.cls ? N - 1 : N;
  const scores = spec.cls
    ? headSums(folder, B, spec.cls_attention![1], P)
    : readFloats(folder, 'scores', B * P);
  let maxAbsError = 0;
  let exact = true;
  for (let b = 0; b < B; b++) {
    const compressed = compressFrame(
      {
        index: b,
        ptsSeconds: 0,
        N,
        D,
        K,
        hidden: hidden.subarray(b * N * D, (b + 1) * N * D),
        keys: keys.subarray(b * N * K, (b + 1) * N * K),
        scores: scores.subarray(b * P, (b + 1) * P),
      },
      spec,
    );
    exact &&= compressed.dominantIndices.join() === spec.dominantIndices[b]!.join();
    compressed.tokens.forEach((value, i) => {
      // Math.max lets a NaN through, which then fails the comparison with the tolerance.
      maxAbsError = Math.max(maxAbsError, Math.abs(value - expected[b * T * D + i]!));
    });
  }
  return { maxAbsError, exact };
}

/** The CLS row of the attention, summed over heads in float32: (B, heads, P) → (B, P). */
function headSums(folder: string, B: number, heads: number, P: number): Float32Array {
  const attention = readFloats(folder, 'cls_attention', B * heads * P);
  const sums = new Float32Array(B * P);
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < heads; h++) {
      for (let p = 0; p < P; p++) sums[b * P + p]! += attention[(b * heads + h) * P + p]!;
    }
  }
  return sums;
}

function readFloats(folder: string, name: string, length: number): Float32Array {
  const bytes = readFileSync(join(folder, `${name}.f32`));
  if (bytes.length !== length * 4) {
    throw new RangeError(`${name}.f32 must hold ${length} float32 numbers, it has ${bytes.length} bytes`);
  }
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}
