import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { InputError } from '../../errors.js';

/** Files of a published model that prepared graphs take their weights from. */
export const weightsSchema = z.array(
  z.strictObject({
    /** Path below the model's folder. */
    path: z.string(),
    bytes: z.int().min(0),
    /** Hex. */
    sha256: z.string(),
    /** Modification time, in milliseconds: as long as it stays, the digest is not computed again. */
    mtimeMs: z.number(),
  }),
);
export type Weights = z.infer<typeof weightsSchema>;

export async function describeWeights(dir: string, paths: readonly string[]): Promise<Weights> {
  const weights: Weights = [];
  for (const path of paths) {
    const { size, mtimeMs } = await stat(join(dir, path));
    weights.push({ path, bytes: size, sha256: await digest(join(dir, path)), mtimeMs });
  }
  return weights;
}

/** Throws an InputError where a file is not the one that was prepared. */
export async function requireWeights(dir: string, weights: Weights): Promise<void> {
  for (const { path, bytes, sha256, mtimeMs } of weights) {
    const file = join(dir, path);
    const found = await stat(file).catch(() => null);
    if (!found) throw new InputError(`the prepared model needs the original file ${file}, which is missing`);
    if (found.size === bytes && found.mtimeMs === mtimeMs) continue;
    if (found.size !== bytes || (await digest(file)) !== sha256)
      throw new InputError(
        `${file} has changed since the model was prepared; run \`visionzip model prepare ${dir}\``,
      );
  }
}

async function digest(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
