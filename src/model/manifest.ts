import { z } from 'zod';

const count = z.int().positive();

/**
 * `visionzip.json` of a prepared model: what the runtime cannot read off config.json or the sessions.
 * Unknown fields are refused, so that a newer format is noticed.
 */
export const manifestSchema = z.strictObject({
  formatVersion: z.literal(1),
  name: z.string().min(1),
  /** The architecture's family, e.g. `llava`. */
  family: z.string().min(1),
  dtype: z.enum(['fp32', 'fp16', 'q4', 'q4f16', 'int8']),
  /** Paths below the model's folder. */
  files: z.strictObject({
    visionTower: z.string(),
    projector: z.string(),
    /** Projector tuned on compressed tokens; used instead when compressing. */
    projectorTuned: z.string().optional(),
    embedTokens: z.string(),
    decoder: z.string(),
  }),
  tower: z.strictObject({
    /** Whether token 0 is a CLS token. */
    cls: z.boolean(),
    selectedLayer: z.int(),
    grid: z.strictObject({ rows: count, columns: count }),
    /** D. */
    width: count,
    /** K. */
    keyWidth: count,
  }),
  order: z.enum(['compress-project']),
  newlineTokens: z.enum(['none']),
  contextLength: count,
  /** Whether each frame's time is written into the prompt before its tokens. */
  frameTimes: z.boolean(),
  defaults: z.strictObject({
    frames: count,
    /** What `auto` compression keeps of a frame. */
    compression: z.strictObject({ dominant: count, contextual: z.int().min(0) }),
  }),
});

export type Manifest = z.infer<typeof manifestSchema>;
