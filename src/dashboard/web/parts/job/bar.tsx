import { formatDuration } from '../../format.js';
import { placed, type View } from '../../zoom.js';
import type { Span } from './spans.js';

/** A line of the waterfall. */
export function Bar({ span, view }: { readonly span: Span; readonly view: View }) {
  const { name, from, to, kind, note, busyMs } = span;
  const place = placed(view, from, to);
  const isSpread = busyMs !== undefined && busyMs < 0.9 * (to - from);
  const whole = formatDuration(to - from);
  const length = isSpread ? `${formatDuration(busyMs)} within ${whole}` : whole;
  const isFailed = kind === 'failed';
  const text = note && !isFailed ? `${length} · ${note}` : length;
  return (
    <li>
      <span class="bar-name">{name}</span>
      <div class="bar-lane">
        {place && (
          <>
            <span
              class={`bar bar-${kind} ${isSpread ? 'spread' : ''}`}
              style={{ left: `${place.left}%`, width: `${place.width}%` }}
              title={`${name}: ${text}`}
            />
            <BarText place={place} text={text} />
          </>
        )}
      </div>
      {isFailed && <span class="bar-note">{note}</span>}
    </li>
  );
}

/** Behind the bar where there is room; else within it, or before it where it is short. */
function BarText({ place: { left, width }, text }: { place: { left: number; width: number }; text: string }) {
  const end = left + width;
  if (end <= 70)
    return (
      <span class="bar-text" style={{ left: `${end}%` }}>
        {text}
      </span>
    );
  if (width > 35)
    return (
      <span class="bar-text inside" style={{ left: `${left}%` }}>
        {text}
      </span>
    );
  return (
    <span class="bar-text" style={{ right: `${100 - left}%` }}>
      {text}
    </span>
  );
}
