import { z } from 'zod';

/** What a worker says of itself while it listens. */
export const workerAboutSchema = z.looseObject({
  /** Of the package. */
  version: z.string(),
  /** What is around the decoder: see docs/failures.md; null where none could be built, and so no video can be read. */
  sandbox: z.string().nullable(),
  /** Jobs at a time. */
  concurrency: z.number(),
});

export type WorkerAbout = z.infer<typeof workerAboutSchema>;

/** Null where nothing is written, or nothing that can be read. */
export function readAbout(text: string | null): WorkerAbout | null {
  try {
    return workerAboutSchema.parse(JSON.parse(text ?? ''));
  } catch {
    return null;
  }
}
