import { useEffect, useRef } from 'preact/hooks';
import { formatTime } from '../../../../format.js';
import { TokensOf } from './frame.js';
import type { Moment } from './moments.js';
import { Patches } from './patches.js';
import { Picture } from './picture.js';

interface StripProps {
  readonly moments: readonly Moment[];
  readonly selected: number;
  readonly aspect: number;
  onSelect(place: number): void;
}

/** All frames in order of time. */
export function Strip({ moments, selected, aspect, onSelect }: StripProps) {
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    const box = list.current;
    const item = box?.children[selected];
    // The list alone is scrolled: the page stays where it is.
    if (!box || !(item instanceof HTMLElement)) return;
    const isInSight =
      item.offsetLeft >= box.scrollLeft &&
      item.offsetLeft + item.offsetWidth <= box.scrollLeft + box.clientWidth;
    if (!isInSight) box.scrollLeft = item.offsetLeft - box.clientWidth / 2 + item.offsetWidth / 2;
  }, [selected]);
  const onKey = (event: KeyboardEvent) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const place = selected + (by ?? 0);
    if (by === undefined || place < 0 || place >= moments.length) return;
    event.preventDefault();
    onSelect(place);
    list.current?.children[place]?.querySelector('button')?.focus({ preventScroll: true });
  };
  return (
    <ol class="strip" ref={list} aria-label="Frames">
      {moments.map((moment, place) => (
        <li key={place}>
          <button
            type="button"
            aria-pressed={place === selected}
            onClick={() => onSelect(place)}
            onKeyDown={onKey}
          >
            {moment.frame && (
              <span class="frame-box" style={{ aspectRatio: String(aspect) }}>
                <Picture moment={moment} alt="" />
                {!moment.sameAs && <Patches frame={moment.frame} />}
              </span>
            )}
            <strong>{formatTime(moment.seconds)}</strong>
            <span class="small">
              <TokensOf moment={moment} />
            </span>
          </button>
        </li>
      ))}
    </ol>
  );
}
