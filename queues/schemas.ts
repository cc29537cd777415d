import { z } from 'zod';

/*
 * The contract between producers and workers. A job names a video and the questions about it; a result
 * document holds the answers, how the video was fitted into the context, and where the time went.
 */

const seconds = z.number().min(0);

export const samplingSchema = z
  .strictObject({
    frames: z.int().min(1).max(4096).optional(),
    fps: z.number().positive().max(240).optional(),
    maxFrames: z.int().min(1).max(4096).optional(),
    /** How frames are chosen, unless `fps` does it; see `Sampling` of the pipeline. Default auto. */
    method: z.enum(['auto', 'fast', 'uniform']).optional(),
    startSeconds: seconds.optional(),
    endSeconds: seconds.optional(),
  })
  .refine((s) => s.frames === undefined || s.fps === undefined, {
    message: 'give `frames` or `fps`, not both',
  })
  .refine((s) => s.maxFrames === undefined || s.fps !== undefined, {
    message: '`maxFrames` bounds `fps`, which is not given: use `frames`',
  })
  .refine(
    (s) => s.startSeconds === undefined || s.endSeconds === undefined || s.startSeconds < s.endSeconds,
    {
      message: '`startSeconds` must be below `endSeconds`',
    },
  );

export const compressionSchema = z.union([
  z.enum(['auto', 'none']),
  z.strictObject({ dominant: z.int().min(1), contextual: z.int().min(0) }),
]);

export const overTimeSchema = z.strictObject({
  duplicates: z.enum(['drop', 'keep']).optional(),
  windows: z.enum(['merge', 'keep']).optional(),
  budget: z.enum(['novelty', 'even']).optional(),
  sinks: z.enum(['weaken', 'keep']).optional(),
  dominant: z.enum(['attention', 'suppressed', 'coverage']).optional(),
  merging: z.enum(['frame', 'clip']).optional(),
});

export const generationSchema = z.strictObject({
  /** Where what is not given comes from; see `Generation` of the pipeline. Default greedy. */
  defaults: z.enum(['greedy', 'model']).optional(),
  maxNewTokens: z.int().min(1).max(4096).optional(),
  temperature: z.number().min(0).max(10).optional(),
  topK: z.int().min(1).optional(),
  topP: z.number().gt(0).max(1).optional(),
  /** Default the model's own. */
  repetitionPenalty: z.number().positive().max(10).optional(),
  seed: z.int().min(0).optional(),
  stop: z.array(z.string().min(1)).max(16).optional(),
});

const question = z
  .string()
  .max(16_384)
  .refine((q) => q.trim().length > 0, { message: 'the question is empty' });

const option = z
  .string()
  .max(4096)
  .refine((text) => text.trim().length > 0, { message: 'an option is empty' });

/** A question that is answered by the letter of one of its options, A first. */
export const choiceQuestionSchema = z.strictObject({
  question,
  options: z.array(option).min(2).max(26).readonly(),
  /** Whether the question shows the options already, in the words of a benchmark; else they are put behind it. */
  showsOptions: z.boolean().optional(),
});

const asked = z.union([question, choiceQuestionSchema]);

/** What a producer notes about a job, such as the run of a dataset that it belongs to. It travels into the job's document. */
export const tagsSchema = z
  .record(
    z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, 'a tag is named by up to 64 letters, digits, ". _ -"'),
    z.string().max(256),
  )
  .refine((tags) => Object.keys(tags).length <= 16, { message: 'there are more than 16 tags' });

/** An earlier question about the same video, and its answer. */
export const turnSchema = z.strictObject({ question, answer: z.string().max(65_536) });
export type JobTurn = z.infer<typeof turnSchema>;

/** What a producer enqueues. Unknown fields are refused. */
export const askJobSchema = z.strictObject({
  /**
   * Path of a local file below one of the worker's video folders; a relative one counts from the folder in which
   * the worker was started.
   */
  video: z.string().min(1, 'the path of the video is empty').max(4096),
  /** Each in words, or with options: then the answer is a letter, with the likelihood of each. */
  questions: z.union([asked.transform((q) => [q]), z.array(asked).min(1).max(256)]),
  /** What was asked and answered before each of the questions, the oldest first; the oldest are dropped where the context is full. */
  history: z.array(turnSchema).max(256).optional(),
  sampling: samplingSchema.default({}),
  compression: compressionSchema.default('auto'),
  /** What is done about what repeats over time. Older producers do not say. */
  overTime: overTimeSchema.optional(),
  generation: generationSchema.default({}),
  /** Name of a folder below one of the worker's model folders. */
  model: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'a model is named by its folder: letters, digits, ". _ -"')
    .default('nano'),
  /** Whether a truncated or damaged video is an error; else what can be decoded of it is used. */
  strict: z.boolean().optional(),
  tags: tagsSchema.optional(),
  /** Jobs of a lower number are taken before those of a higher one, and jobs without a number, or of 0, before them all. */
  priority: z.int().min(0).max(2_097_152).optional(),
  /** How long an attempt may take, in milliseconds, where that is less than what its worker allows. */
  deadlineMs: z.int().min(1).optional(),
});

/** What a producer may write: one question or many, everything else optional. */
export type AskJobInput = z.input<typeof askJobSchema>;
/** A question of a job. */
export type AskedQuestion = z.output<typeof asked>;
/** A job as it lies in the queue. */
export type AskJob = z.output<typeof askJobSchema>;

const ms = z.number().min(0);

/** When a stage was first and last busy, in milliseconds from the start of the job. */
const span = z.tuple([z.number(), z.number()]).readonly().optional();
const spansSchema = z
  .strictObject({
    ...{ probe: span, choose: span, decode: span, preprocess: span, encode: span },
    ...{ compress: span, project: span, prefill: span, generate: span },
  })
  .readonly();

export const timingsSchema = z.strictObject({
  queueMs: ms,
  probeMs: ms,
  /** Older workers did not say. */
  chooseMs: ms.default(0),
  decodeMs: ms,
  preprocessMs: ms,
  encodeMs: ms,
  compressMs: ms,
  projectMs: ms,
  prefillMs: ms,
  generateMs: ms,
  totalMs: ms,
  firstTokenMs: ms,
  onnxMs: ms,
  tokensPerSecond: ms,
  framesPerSecond: ms,
  /** Of stages that ran; older workers did not say. */
  spans: spansSchema.optional(),
});

export const answerSchema = z.strictObject({
  question: z.string(),
  /** Of a question with options. */
  options: z.array(z.string()).readonly().optional(),
  /** Of a question with options the letter. */
  answer: z.string(),
  /** Which option, from 0, and how likely each was among them; together 1. */
  choice: z
    .strictObject({ letter: z.string(), index: z.int(), likelihoods: z.array(z.number()).readonly() })
    .optional(),
  /**
   * How likely the model held the tokens of a free answer, its end included: the geometric mean of their probabilities at
   * temperature 1. Of a choice there are the likelihoods of its options; older workers did not say.
   */
  likelihood: z.number().optional(),
  finishReason: z.enum(['stop', 'length']),
  promptTokens: z.int(),
  newTokens: z.int(),
  /** Of the job's history, how many of the oldest turns had no room in the context; default none. */
  turnsDropped: z.int().optional(),
  /** When its prefill began, in milliseconds from the start of the job; of a stored answer, of the one that made it. */
  startedMs: ms.optional(),
  prefillMs: ms,
  generateMs: ms,
  /** True when the answer was stored before and nothing was computed for it. */
  cached: z.boolean(),
});

export const videoWarningSchema = z.strictObject({
  kind: z.enum(['truncated', 'damaged', 'joined', 'tone-mapped']),
  message: z.string(),
});

/** What a finished job leaves behind; the same document for `ask --json` and `result --json`. */
export const resultSchema = z.strictObject({
  id: z.string(),
  status: z.literal('completed'),
  /** True when every answer was stored before. */
  cached: z.boolean(),
  video: z.strictObject({
    path: z.string(),
    digest: z.string(),
    sizeBytes: z.int(),
    codec: z.string(),
    durationSeconds: z.number(),
    fps: z.number(),
    width: z.int(),
    height: z.int(),
    /** In what the frames differ from the file as it was meant; older workers did not say. */
    warnings: z.array(videoWarningSchema).default([]),
  }),
  /** In the order of the questions. */
  answers: z.array(answerSchema),
  plan: z.strictObject({
    frames: z.int(),
    /** How many of them show an event; older workers did not say. */
    events: z.int().default(0),
    /** Older workers did not say. */
    crops: z.int().default(1),
    tokensPerFrame: z.int(),
    /** Frames that the tower takes together; older workers did not say. */
    framesTogether: z.int().default(1),
    budget: z.strictObject({ dominant: z.int(), contextual: z.int() }).nullable(),
    tokensPerFrameBefore: z.int(),
    contextLength: z.int(),
    promptTokens: z.int(),
    maxNewTokens: z.int(),
    reason: z.string(),
  }),
  /** What of the video was there before: nothing, its tokens, or all of it in the language model; older workers did not say. */
  reused: z.enum(['none', 'tokens', 'prefix']).default('none'),
  /** Visual tokens of the whole video, without and with compression. */
  tokens: z.strictObject({ before: z.int(), after: z.int() }),
  /**
   * Older workers did not say how many tokens were made of each; 0 of one that shows what the one before shows, or that the tower
   * took together with one before.
   */
  frames: z.array(
    z.strictObject({
      index: z.int(),
      ptsSeconds: z.number(),
      takenWith: z.int().optional(),
      tokens: z.int().nullable().default(null),
      /** Of a frame that shows another one again: that one, whose tokens stand for it. */
      sameAs: z.int().optional(),
      /** How many of them stand for merged patches, and for later frames; patches that an earlier frame's tokens stand for. */
      merged: z.int().optional(),
      static: z.int().optional(),
      standIns: z.int().optional(),
    }),
  ),
  /** By which `QueueClient.sight` finds what the model saw, while it is kept; other jobs may have the same. */
  sight: z.string().optional(),
  timings: timingsSchema,
  model: z.strictObject({ name: z.string(), digest: z.string(), dtype: z.string() }),
  settings: z.strictObject({
    sampling: samplingSchema,
    compression: compressionSchema,
    /** These two where the job said; older workers did not repeat them. */
    overTime: overTimeSchema.optional(),
    generation: generationSchema,
    strict: z.boolean().optional(),
  }),
  tags: tagsSchema.optional(),
  /** Name of the worker, and the number of its attempt from 1; none of a command without a queue, and of older workers. */
  worker: z.string().optional(),
  attempt: z.int().optional(),
  finishedAt: z.iso.datetime(),
});

export type Result = z.infer<typeof resultSchema>;

/** Where a running job stands. */
export const progressSchema = z.strictObject({
  stage: z.enum(['load', 'probe', 'choose', 'encode', 'generate']),
  framesDone: z.int(),
  framesTotal: z.int(),
  answersDone: z.int(),
  answersTotal: z.int(),
  /**
   * An answer that has just become whole while others are left: the document as it stands then, with this answer alone. Not sent of
   * answers that another attempt at the job would not repeat. Events may get lost, and of the next answers less is sent: see
   * `onAnswer` of `QueueClient.wait`. The document of the finished job has all answers.
   */
  answered: resultSchema.optional(),
});

export type JobProgress = z.infer<typeof progressSchema>;

/**
 * Whose fault a failure is: of the job's questions, its video, its model or its settings, which would fail again; or
 * `internal`, of the machine or the program, which was tried again before it failed.
 */
export const faultSchema = z.enum(['question', 'video', 'model', 'settings', 'internal']);
export type FaultKind = z.infer<typeof faultSchema>;

/** What a job leaves behind that failed for good or was cancelled. */
export const failureSchema = z.strictObject({
  id: z.string(),
  status: z.enum(['failed', 'cancelled']),
  error: z.string(),
  /** Null for what was cancelled; older workers did not say. */
  fault: faultSchema.nullable().default(null),
  /** How often it was started; older workers did not say. */
  attempts: z.int().default(0),
  /** Name of the worker that had it last, where one had it; older workers did not say. */
  worker: z.string().optional(),
  tags: tagsSchema.optional(),
  finishedAt: z.iso.datetime(),
});

export type Failure = z.infer<typeof failureSchema>;

/** The document under `result:<job id>`. */
export const documentSchema = z.discriminatedUnion('status', [resultSchema, failureSchema]);
export type ResultDocument = z.infer<typeof documentSchema>;
