import { useMemo, useRef, useState } from 'preact/hooks';
import type { Sight } from '../../../../../queues/sight.js';
import type { JobDetail } from '../../../api/schemas.js';
import { shownAt } from '../../geometry.js';
import { useLoaded } from '../../load.js';
import { addressOf } from '../../router.js';
import { jobPath } from '../../routes.js';
import { FrameView } from './frame.js';
import { Legend } from './legend.js';
import { type Moment, momentsOf, whyNoPictures } from './moments.js';
import { Player } from './player.js';
import { Strip } from './strip.js';
import { TokenChart } from './token-chart.js';

/** What the model saw of the video, in step with the video itself. */
export function Seen({ detail }: { readonly detail: JobDetail }) {
  const { row, document, hasSight, hasVideo } = detail;
  const path = jobPath(row.id);
  const { data: sight, error } = useLoaded<Sight>(hasSight ? `${path}/sight` : null);
  const moments = useMemo(() => momentsOf(detail, sight), [document, sight]);
  const step = useStep(moments);
  if (moments.length === 0 && !hasVideo) return null;
  const moment = moments[step.selected];
  const note = hasSight && !sight ? null : whyNoPictures(moments);
  const video = document?.status === 'completed' ? document.video : { width: 16, height: 9 };
  const aspect = sight && sight.height > 0 ? sight.width / sight.height : 1;
  return (
    <section class="card seen">
      <h2>{moments.length > 0 ? 'What the model saw' : 'The video'}</h2>
      {error && <p class="soft">The frames could not be read: {error.message}</p>}
      {note && <p class="soft">{note}</p>}
      <div class="seen-pair">
        {hasVideo && (
          <Player
            src={addressOf(`api/${path}/video`)}
            aspect={video.width / video.height}
            video={step.video}
            onTime={step.follow}
          />
        )}
        {moment && sight && <FrameView key={step.selected} moment={moment} aspect={aspect} />}
      </div>
      {sight && <Legend frames={sight.frames} />}
      {moments.length > 0 && (
        <>
          <TokenChart
            moments={moments}
            selected={step.selected}
            duration={lengthOf(document, moments)}
            seconds={hasVideo ? step.seconds : null}
            onSeek={step.seek}
          />
          <Strip moments={moments} selected={step.selected} aspect={aspect} onSelect={step.select} />
        </>
      )}
    </section>
  );
}

/** Keeps the player, the chart and the frames at the same time. */
function useStep(moments: readonly Moment[]) {
  const times = useMemo(() => moments.map(({ seconds }) => seconds), [moments]);
  const video = useRef<HTMLVideoElement>(null);
  const [selected, setSelected] = useState(0);
  const [seconds, setSeconds] = useState(0);
  const follow = (at: number) => {
    setSeconds(at);
    const place = shownAt(times, at);
    if (place >= 0) setSelected(place);
  };
  const seek = (at: number) => {
    if (video.current && video.current.readyState > 0) video.current.currentTime = at;
    follow(at);
  };
  const select = (place: number) => {
    seek(times[place]!);
    setSelected(place);
  };
  return { video, selected, seconds, follow, seek, select };
}

/** Of the video, in seconds; more than the time of the last frame. */
function lengthOf(document: JobDetail['document'], moments: readonly Moment[]): number {
  const length = document?.status === 'completed' ? document.video.durationSeconds : 0;
  return Math.max(length, moments.at(-1)!.seconds + 0.001);
}
