import type { SightFrame } from '../../../../../queues/sight.js';
import { fatesOf } from '../../geometry.js';

/** What the marks over the frames mean, of those that there are. */
export function Legend({ frames }: { readonly frames: readonly SightFrame[] }) {
  const hasDropped = frames.some((frame) => fatesOf(frame).includes('dropped') && !hasOther(frame));
  const hasMerged = frames.some(({ contextual }) => contextual.length > 0);
  const hasStatic = frames.some((frame) => (frame.static?.length ?? 0) > 0);
  const hasAgain = frames.some(({ sameAs }) => sameAs !== undefined);
  return (
    <ul class="legend small">
      <li>
        <i class="swatch kept" />{' '}
        {hasMerged || hasDropped || hasStatic
          ? 'clear, outlined: dominant patches, each a token'
          : 'every patch is a token'}
      </li>
      {hasMerged && (
        <li>
          <i class="swatch merged" /> dimmed: merged into contextual tokens
        </li>
      )}
      {hasStatic && (
        <li>
          <i class="swatch static" /> pale: the same in several frames, sent once
        </li>
      )}
      {hasDropped && (
        <li>
          <i class="swatch dropped" /> dark:{' '}
          {hasStatic ? "left out, or stood for by an earlier frame's tokens" : 'left out'}
        </li>
      )}
      {hasAgain && (
        <li>
          <i class="swatch again" /> grey: shows what another frame shows
        </li>
      )}
    </ul>
  );
}

/** Whether its tokens are those of another frame. */
function hasOther({ sameAs }: SightFrame): boolean {
  return sameAs !== undefined;
}
