import { z } from 'zod';
import { type Result, timingsSchema } from './schemas.js';
import { tolerant } from './tolerant.js';

/** How many answers are in a summary, and how many characters of each. */
const maxAnswers = 4;
const maxCharacters = 120;

const { spans: _, ...sums } = timingsSchema.shape;

/**
 * What BullMQ keeps of a completed job beside the job itself, so that many can be listed without a look into their documents:
 * it has to be small.
 */
export const summarySchema = z.strictObject({
  cached: z.boolean(),
  /** The first few, each cut short. */
  answers: z.array(z.string()).readonly(),
  /** How many answers there are in all. Older workers said none of what follows. */
  count: z.int().optional(),
  /** Of the same answers: how likely the model held them, of a choice the chosen option; null where nobody said. */
  likelihoods: z.array(z.number().nullable()).readonly().optional(),
  frames: z.int().optional(),
  tokens: z.strictObject({ before: z.int(), after: z.int() }).readonly().optional(),
  /** In milliseconds, to a tenth. */
  timings: z.strictObject(sums).readonly().optional(),
  /** Of the video. */
  durationSeconds: z.number().optional(),
  reused: z.string().optional(),
  sight: z.string().optional(),
});

export type JobSummary = Readonly<z.infer<typeof summarySchema>>;

export function summarize(document: Result): JobSummary {
  const { cached, frames, tokens, video, reused, sight } = document;
  const { spans: _, ...timings } = document.timings;
  const answers = document.answers.slice(0, maxAnswers);
  return {
    cached,
    answers: answers.map(({ answer }) => shorten(answer)),
    count: document.answers.length,
    likelihoods: answers.map(({ likelihood, choice }) => {
      const own = likelihood ?? choice?.likelihoods[choice.index];
      return own === undefined ? null : round(own, 1000);
    }),
    frames: frames.length,
    tokens,
    timings: mapValues(timings, (ms) => round(ms, 10)),
    durationSeconds: round(video.durationSeconds, 1000),
    reused,
    ...(sight !== undefined && { sight }),
  };
}

const readable = tolerant(summarySchema);

/** BullMQ's return value of a completed job as a summary, of other versions, too; null where it is none. */
export function readSummary(returned: unknown): JobSummary | null {
  const parsed = readable.safeParse(returned);
  return parsed.success ? (parsed.data as JobSummary) : null;
}

const characters = new Intl.Segmenter();

/** Characters as people count them are not cut in two. */
function shorten(text: string): string {
  if (text.length <= maxCharacters) return text;
  let kept = '';
  for (const { segment } of characters.segment(text)) {
    if (kept.length + segment.length >= maxCharacters) break;
    kept += segment;
  }
  return `${kept}…`;
}

function round(value: number, steps: number): number {
  return Math.round(value * steps) / steps;
}

function mapValues<T extends Readonly<Record<string, number>>>(
  record: T,
  change: (value: number) => number,
): T {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, change(value)])) as T;
}
