import { formatTime } from '../../../../format.js';
import { plural } from '../../format.js';
import type { Moment } from './moments.js';

interface TokenChartProps {
  readonly moments: readonly Moment[];
  readonly selected: number;
  /** Length of the video. */
  readonly duration: number;
  /** Where the player stands; null where there is none. */
  readonly seconds: number | null;
  onSeek(seconds: number): void;
}

/** How many tokens each frame got, at its time; each bar is as long as the frame is on display. */
export function TokenChart({ moments, selected, duration, seconds, onSeek }: TokenChartProps) {
  const most = Math.max(1, ...moments.map(({ tokens }) => tokens ?? 0));
  const total = moments.reduce((sum, { tokens }) => sum + (tokens ?? 0), 0);
  const seek = (event: MouseEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    onSeek(((event.clientX - box.left) / box.width) * duration);
  };
  return (
    <figure class="token-chart">
      <figcaption class="small soft">
        Tokens a frame, at most {most}; {plural(total, 'token')} in all
      </figcaption>
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the frames below it do the same with the keyboard */}
      <svg
        viewBox="0 0 100 100"
        preserveAspectRatio="none"
        role="img"
        aria-label={textOf(moments)}
        onClick={seek}
      >
        <Bars moments={moments} selected={selected} duration={duration} most={most} />
        {seconds !== null && (
          <line
            x1={(seconds / duration) * 100}
            x2={(seconds / duration) * 100}
            y1="0"
            y2="100"
            vector-effect="non-scaling-stroke"
          />
        )}
      </svg>
      <p class="token-axis small soft" aria-hidden="true">
        <span>0 s</span>
        <span>{formatTime(duration)}</span>
      </p>
    </figure>
  );
}

type BarsProps = Pick<TokenChartProps, 'moments' | 'selected' | 'duration'> & { readonly most: number };

function Bars({ moments, selected, duration, most }: BarsProps) {
  return (
    <g>
      {moments.map(({ seconds: from, tokens }, i) => {
        const to = moments[i + 1]?.seconds ?? Math.max(duration, from);
        const height = Math.max(2, ((tokens ?? 0) / most) * 96);
        return (
          <rect
            key={i}
            class={i === selected ? 'selected' : ''}
            x={(from / duration) * 100}
            width={Math.max(0.2, ((to - from) / duration) * 100 - 0.15)}
            y={100 - height}
            height={height}
          />
        );
      })}
    </g>
  );
}

function textOf(moments: readonly Moment[]): string {
  const counts = moments.map(({ tokens }) => tokens ?? 0);
  return `Tokens of ${plural(moments.length, 'frame')}: from ${Math.min(...counts)} to ${Math.max(...counts)}. The list of frames says them one by one.`;
}
