import { z } from 'zod';
import { dtypes, type PartDtypes, scalesOverAll } from './layout.js';
import { weightsSchema } from './prepare/weights.js';

const count = z.int().positive();
const dtypeSchema = z.enum(dtypes);
const grid = z.strictObject({ rows: count, columns: count });

/**
 * `visionzip.json` of a prepared model: what the runtime cannot read off config.json or the sessions.
 * Unknown fields are refused, so that a newer format is noticed.
 */
export const manifestSchema = z.strictObject({
  formatVersion: z.literal(1),
  name: z.string().min(1),
  /** The architecture's family, e.g. `llava`. */
  family: z.string().min(1),
  /** Of the decoder's weights. */
  dtype: dtypeSchema,
  /** Of each part's, where they are not all the decoder's. */
  dtypes: z.strictObject({ vision: dtypeSchema, embed: dtypeSchema, decoder: dtypeSchema }).optional(),
  /** Paths below the model's folder. */
  files: z.strictObject({
    visionTower: z.string(),
    /** Absent where the tower's graph projects. */
    projector: z.string().optional(),
    /** Projector tuned on compressed tokens; used instead when compressing. */
    projectorTuned: z.string().optional(),
    embedTokens: z.string(),
    decoder: z.string(),
    /** The newline's embedding (H), float32, as NumPy writes it. */
    newline: z.string().optional(),
  }),
  tower: z.strictObject({
    /** Whether token 0 is a CLS token. */
    cls: z.boolean(),
    /** Whether the family shows CLS to its language model, as Video-LLaVA does. */
    keepsCls: z.boolean().default(false),
    /**
     * What scores come from: attention as in the paper, by CLS where the tower has one; the attention of a CLS that is
     * not among its tokens; or, in a tower without attention, likeness to the mean token.
     */
    scores: z.enum(['attention', 'cls-attention', 'similarity']).default('attention'),
    selectedLayer: z.int(),
    grid,
    /** The grid after pooling, where the family pools a video's frames; behind a connector, what the language model gets. */
    pooled: grid.optional(),
    /**
     * Of towers that take pictures in their own proportions, as rows of patches and a grid: the edge of a patch in pixels,
     * the edge of a merged token in patches, the frames that are taken together, and the grid's name, from which follows how
     * patches are ordered. `grid` is that of a usual video then.
     */
    native: z
      .strictObject({
        patchSize: count,
        mergeSize: count,
        framesTogether: count,
        gridInput: z.enum(['grid_thw', 'image_grid_thw', 'spatial_shapes']),
        pixelsOf: z.enum(['frame', 'video']),
      })
      .optional(),
    /** D. */
    width: count,
    /** K; 0 where no keys come out, and nothing can be compressed. */
    keyWidth: z.int().min(0),
  }),
  order: z.enum(['compress-project', 'project-pool-compress', 'project-compress']),
  /** Where a learned embedding, the newline, stands behind frames. */
  newlineTokens: z.enum(['none', 'after-frame', 'after-video']),
  /**
   * How the chat shows the frames: as pictures, as pictures between Idefics3's tokens or LFM2-VL's, as one video, in SmolVLM's
   * sentences, or each behind its time.
   */
  frames: z.enum(['images', 'wrapped', 'marked', 'video', 'sentences', 'timed']).default('images'),
  /** How it shows a still picture: as a picture, or as a video of one frame. */
  still: z.enum(['image', 'frame']).default('frame'),
  /** Positions in three axes; default one after the other. */
  rope: z
    .strictObject({
      time: z.enum(['groups', 'seconds', 'none']),
      perSecond: z.number().positive().optional(),
    })
    .optional(),
  /** Heights and widths that a still picture is brought to and cut into crops from, where the family does so. */
  pictureResolutions: z.array(z.tuple([count, count])).optional(),
  /** Whether a still picture is cut into crops of the tower's size, each of which stands in the prompt by itself: SmolVLM. */
  splitsPictures: z.boolean().default(false),
  contextLength: count,
  /** The original files that the graphs take their weights from. */
  weights: weightsSchema.default([]),
  /** Whether each frame's time is written into the prompt before its tokens. */
  frameTimes: z.boolean(),
  defaults: z.strictObject({
    /** Of a short video. */
    frames: count,
    /** Of a long one: what the model was trained on. */
    mostFrames: count.optional(),
    /** Between the two. */
    framesPerSecond: z.number().positive().optional(),
    /** What `auto` compression keeps of a frame. */
    compression: z.strictObject({ dominant: count, contextual: z.int().min(0) }),
    /** Of a frame's tokens, what it keeps where their number depends on the video. */
    share: z.number().positive().max(1).optional(),
  }),
});

export type Manifest = z.infer<typeof manifestSchema>;

export function dtypesOf({ dtype, dtypes }: Pick<Manifest, 'dtype' | 'dtypes'>): PartDtypes {
  return dtypes ?? { vision: dtype, embed: dtype, decoder: dtype };
}

/**
 * Whether the tower takes one frame at a time: some graphs scale over all they are given, and alone a frame's tokens do not
 * depend on its neighbours; and a tower of convolutions takes as much more memory as it gets frames.
 */
export function takesFramesAlone({
  tower,
  ...manifest
}: Pick<Manifest, 'dtype' | 'dtypes' | 'tower'>): boolean {
  return scalesOverAll(dtypesOf(manifest).vision) || tower.scores === 'similarity';
}
