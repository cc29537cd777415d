import Table from 'cli-table3';
import type { Command } from 'commander';
import type { OtherSetting, VideoPlan } from '../pipeline/plan-video.js';
import { settings } from './connect.js';
import { formatTime } from './format.js';
import { modelFolder } from './local-model.js';
import { addJobOptions, buildJob, type JobOptions, jobSettings } from './options.js';
import { createProgressBar } from './progress.js';
import { addCommonOptions, type Context, command } from './run.js';

/** For which room is left where no question is given. */
const usualQuestion = 'What happens in this video, and what does it look like?';

export function addPlan(program: Command): void {
  const plan = program
    .command('plan')
    .summary('which frames and how many tokens a question would take')
    .description(
      'Says what `ask` would do with a video, without running the model: which frames and why, how many tokens, and what other settings would cost.',
    )
    .argument('<video>', 'a video or picture file')
    .argument('[question]', 'default: one of usual length');
  addJobOptions(plan, "a model's name below the models folder, or the path of its folder");
  addCommonOptions(plan, ['plan lecture.mp4', 'plan lecture.mp4 "Who speaks?" --frames 32 --json']).action(
    command(runPlan),
  );
}

async function runPlan(
  context: Context,
  video: string,
  question: string | undefined,
  options: JobOptions,
): Promise<void> {
  const { model: wanted, ...chosen } = jobSettings(options);
  const job = buildJob(video, [question ?? usualQuestion], chosen);
  const { limits, home, decoder, modelDirs } = settings();
  const bar = createProgressBar();
  const { useDecoder } = await import('../media/ffmpeg.js');
  const { outlineModel } = await import('../models/outline.js');
  const { planVideo } = await import('../pipeline/plan-video.js');
  const { changesIn } = await import('../sources/changes.js');
  useDecoder(decoder);
  try {
    const model = await outlineModel(await modelFolder(wanted, modelDirs));
    const { signal } = context;
    const changes = await changesIn(home, job.video, limits.maxBytes, signal);
    const plan = await planVideo(
      model,
      { ...job, limits },
      {
        ...{ signal, changes },
        onProgress: (framesDone, framesTotal) =>
          bar.update({ stage: 'choose', framesDone, framesTotal, answersDone: 0, answersTotal: 0 }),
      },
    );
    bar.clear();
    context.document({ model: model.name, ...plan });
    if (!context.json) process.stdout.write(`${describe(plan)}\n`);
  } finally {
    bar.clear();
  }
}

/** What tokens are counted of. */
function unitOf({ frames, framesTogether }: VideoPlan['plan']): string {
  return framesTogether > 1 && frames > 1 ? `of ${framesTogether} frames` : 'a frame';
}

function describe(planned: VideoPlan): string {
  const { video, plan, tokens, frames, framesReason, others } = planned;
  const { durationSeconds, width, height, codec } = video;
  const lines = [
    `video   ${formatTime(durationSeconds)} of ${codec}, ${width} × ${height}`,
    `frames  ${plan.frames}${plan.events > 0 ? `, ${plan.events} where something changes` : ''}: ` +
      frames.map(({ ptsSeconds, isEvent }) => `${formatTime(ptsSeconds)}${isEvent ? '*' : ''}`).join(' '),
    `        ${framesReason}`,
    `tokens  ${tokens.before} → ${plan.budget ? 'at most ' : ''}${tokens.after}, ${plan.tokensPerFrame} of ${plan.tokensPerFrameBefore} ${unitOf(plan)}; ` +
      `prompt ${plan.promptTokens}, answer up to ${plan.maxNewTokens}, context ${plan.contextLength}`,
    `why     ${plan.reason}`,
    `        ${describeStages(planned)}`,
    ...video.warnings.map(({ message }) => `video   ${message}`),
  ];
  const table = new Table({
    head: ['or', 'frames', 'tokens each', 'prompt'],
    style: { head: [], border: [] },
  });
  table.push(...others.map(rowOf));
  return `${lines.join('\n')}\n${table.toString()}`;
}

/** What is done about what repeats, in words. */
function describeStages({ overTime }: VideoPlan): string {
  const words = {
    'duplicates drop': 'frames that show nothing new are left out',
    'windows merge': 'patches that stand still are sent once',
    'budget novelty': 'frames that are new get more tokens',
    'sinks weaken': 'patches that win in every frame count less',
    'dominant suppressed': 'patches like a chosen one count less',
    'dominant coverage': 'patches are chosen to cover the frame',
    'merging clip': 'tokens are merged over several frames',
  } as const;
  const told = Object.entries(overTime).flatMap(
    (stage) => words[stage.join(' ') as keyof typeof words] ?? [],
  );
  return told.join('; ') || 'every frame is taken for itself';
}

function rowOf({ sampling, compression, plan, reason }: OtherSetting): string[] {
  const how =
    typeof compression === 'string' ? compression : `${compression.dominant}+${compression.contextual}`;
  const name = `--frames ${sampling.frames}${compression === 'auto' ? '' : ` --compression ${how}`}`;
  if (plan === null) return [name, '', '', reason.split(':')[0]!];
  return [name, String(plan.frames), String(plan.tokensPerFrame), String(plan.promptTokens)];
}
