import { useState } from 'preact/hooks';
import type { SightFrame } from '../../../../../queues/sight.js';
import { formatTime } from '../../../../format.js';
import { plural } from '../../format.js';
import { type FrameToken, placeOf, tokensOf } from '../../geometry.js';
import type { Moment } from './moments.js';
import { Patches } from './patches.js';
import { Picture } from './picture.js';

/** One frame, large: which patches became which tokens. */
export function FrameView({ moment, aspect }: { readonly moment: Moment; readonly aspect: number }) {
  const [token, setToken] = useState<number | null>(null);
  const { frame, sameAs, seconds } = moment;
  const chosen = token !== null && frame ? tokensOf(frame)[token] : undefined;
  return (
    <figure class="frame-view">
      <div class="frame-box" style={{ aspectRatio: String(aspect), maxWidth: `${26 * aspect}rem` }}>
        <Picture moment={moment} alt={`The frame at ${formatTime(seconds)}`} />
        {frame && !sameAs && <Patches frame={frame} token={token} onToken={setToken} />}
      </div>
      <figcaption>
        <p>
          <strong>{formatTime(seconds)}</strong> <TokensOf moment={moment} />
        </p>
        <p class="soft small" aria-live="polite">
          {chosen && frame ? tokenText(chosen, frame) : hintOf(moment)}
        </p>
        {frame && !sameAs && <TokenList frame={frame} token={token} onToken={setToken} />}
      </figcaption>
    </figure>
  );
}

export function TokensOf({ moment: { tokens, before, sameAs } }: { readonly moment: Moment }) {
  if (sameAs) return <span>shows the same as the frame at {formatTime(sameAs.seconds)}</span>;
  if (tokens === null) return null;
  return (
    <span>
      {plural(tokens, 'token')}
      {before !== null && before > 0 && <span class="soft"> of {before}</span>}
    </span>
  );
}

function hintOf({ frame, sameAs, picture }: Moment): string {
  if (sameAs) return 'Its tokens stand for this one; nothing of it was encoded.';
  if (!frame) return 'Its picture is no longer kept.';
  const what = frame.contextual.length > 0 ? 'which ones were merged with it' : 'where it lies';
  return `${picture === null ? 'No picture of it was kept. ' : ''}Point at a patch to see ${what}.`;
}

function tokenText({ kind, patches }: FrameToken, { grid }: SightFrame): string {
  const place = placeOf(grid, patches[0]!);
  if (kind === 'dominant') return `A dominant token: the patch in ${place}, as it is.`;
  if (kind === 'static') return `The patch in ${place}: the same in several frames, sent once as their mean.`;
  if (patches.length === 1) return `A contextual token: the patch in ${place} alone.`;
  return `A contextual token: ${patches.length} patches, merged into the one in ${place}.`;
}

interface TokenListProps {
  readonly frame: SightFrame;
  readonly token: number | null;
  onToken(token: number | null): void;
}

/** The same with the keyboard: a button a token. */
function TokenList({ frame, token, onToken }: TokenListProps) {
  const tokens = tokensOf(frame);
  const whole = frame.tokensAfter - tokens.length;
  return (
    <details>
      <summary>All tokens of this frame</summary>
      {whole > 0 && (
        <p class="soft small">
          {plural(whole, 'token')} {whole === 1 ? 'belongs' : 'belong'} to no patch, and{' '}
          {whole === 1 ? 'stands' : 'stand'} for the frame as a whole.
        </p>
      )}
      <ul class="token-list">
        {tokens.map((each, i) => (
          <li key={i}>
            <button
              type="button"
              class={`quiet token-${each.kind}`}
              aria-pressed={i === token}
              onFocus={() => onToken(i)}
              onBlur={() => onToken(null)}
              onMouseEnter={() => onToken(i)}
              onMouseLeave={() => onToken(null)}
              onClick={() => onToken(i)}
            >
              {each.kind} {each.patches.length > 1 && `× ${each.patches.length}`}{' '}
              <span class="soft">{placeOf(frame.grid, each.patches[0]!)}</span>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
