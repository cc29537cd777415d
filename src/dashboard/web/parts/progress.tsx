import type { JobRow } from '../../api/schemas.js';
import { Meter } from './meter.js';

const words: Record<NonNullable<JobRow['progress']>['stage'], string> = {
  load: 'loads the model',
  probe: 'opens the video',
  choose: 'chooses frames',
  encode: 'encodes',
  generate: 'answers',
};

/** Where a running job stands, in words and as a bar. */
export function Progress({ progress }: { readonly progress: JobRow['progress'] }) {
  if (!progress) return <p class="progress soft">has begun</p>;
  const { stage, framesDone, framesTotal, answersDone, answersTotal } = progress;
  const counts: Partial<Record<typeof stage, string>> = {
    encode: framesTotal > 0 ? `: frame ${framesDone} of ${framesTotal}` : '',
    generate: answersTotal > 1 ? `: ${answersDone} of ${answersTotal} done` : '',
  };
  const text = words[stage] + (counts[stage] ?? '');
  return (
    <div class="progress">
      <span class="soft">{text}</span>
      <Meter share={shareOf(progress)} label={text} />
    </div>
  );
}

/** Frames count for half of a job, answers for the other. */
function shareOf({
  stage,
  framesDone,
  framesTotal,
  answersDone,
  answersTotal,
}: NonNullable<JobRow['progress']>) {
  const frames = framesTotal > 0 ? framesDone / framesTotal : 0;
  if (stage !== 'generate') return frames / 2;
  return 0.5 + (answersTotal > 0 ? answersDone / answersTotal / 2 : 0);
}
