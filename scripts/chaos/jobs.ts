import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AskJobInput } from '../../queues/schemas.js';
import { loadModel } from '../../src/models/load.js';
import { answerVideo } from '../../src/pipeline/answer.js';
import { makeClips, readQuestions } from '../clip-files.js';
import { createRandom } from '../clips/index.js';
import { type ChaosOptions, settings } from './options.js';

/** `waiting`: cancelled as soon as it is in the queue; `running`: as soon as a worker has it. */
export type Cancel = 'waiting' | 'running';

export interface ChaosJob {
  readonly id: string;
  readonly input: AskJobInput;
  /** What an undisturbed run answers; null for a file that is no video. */
  readonly answer: string | null;
  readonly cancel: Cancel | null;
}

interface Question {
  readonly video: string;
  readonly question: string;
  readonly frames: number;
}

const model = fileURLToPath(new URL('../../../models/nano', import.meta.url));
/** The same clip at another number of frames is another question: no job finds the stored answer of another one. */
const frameCounts = [4, 5, 6, 7, 8, 3, 2];
const questionsOfAClip = 8;
/** One job in so many. */
const brokenEvery = 25;
const cancelledEvery = 12;

/** Makes the clips, and answers every question on them undisturbed. */
export async function makeJobs(
  { jobs, seed }: ChaosOptions,
  folder: string,
  signal: AbortSignal,
): Promise<ChaosJob[]> {
  const random = createRandom(`chaos/jobs/${seed}`);
  const count = Math.max(3, Math.ceil(jobs / (questionsOfAClip * frameCounts.length - 7)));
  await makeClips(seed, count, folder, { seconds: '2-4', signal });
  const broken = join(folder, 'broken.mp4');
  writeFileSync(broken, 'This is no video.');
  const wanted = jobs - Math.ceil(jobs / brokenEvery);
  const asked = allQuestions(folder).slice(0, wanted);
  if (asked.length < wanted)
    throw new Error(`${count} clips hold ${asked.length} questions, too few for ${wanted} jobs`);
  const answers = await answerUndisturbed(asked, signal);
  const good = asked.map((ask, i) => ({ ...ask, answer: answers[i]! }));
  const bad = Array.from({ length: jobs - asked.length }, (_, i) => ({
    ...{ video: broken, question: `What is shown? (${i})`, frames: 4, answer: null },
  }));
  return random.shuffle([...good, ...bad]).map(({ video, question, frames, answer }, i) => ({
    id: `job-${i}`,
    input: { video, questions: question, sampling: { frames } },
    answer,
    cancel: answer === null || i % cancelledEvery !== 1 ? null : random.pick(['waiting', 'running'] as const),
  }));
}

function allQuestions(folder: string): Question[] {
  const rows = readQuestions(folder);
  return frameCounts.flatMap((frames) =>
    rows.map(({ video, question }) => ({ video: join(folder, video), question, frames })),
  );
}

/** One run for each clip and number of frames: which questions share a run changes no answer. */
async function answerUndisturbed(asked: readonly Question[], signal: AbortSignal): Promise<string[]> {
  const answers = new Map<Question, string>();
  const loaded = await loadModel(model, { threads: Number(settings.VISIONZIP_THREADS) });
  try {
    for (const together of groupByRun(asked)) {
      const { video, frames } = together[0]!;
      const questions = together.map(({ question }) => question);
      const outcome = await answerVideo(loaded, { video, questions, sampling: { frames } }, { signal });
      for (const [i, ask] of together.entries()) answers.set(ask, outcome.answers[i]!.answer);
    }
  } finally {
    await loaded.release();
  }
  return asked.map((ask) => answers.get(ask)!);
}

function groupByRun(asked: readonly Question[]): Question[][] {
  const runs = new Map<string, Question[]>();
  for (const ask of asked) {
    const key = `${ask.frames} ${ask.video}`;
    runs.set(key, [...(runs.get(key) ?? []), ask]);
  }
  return [...runs.values()];
}
