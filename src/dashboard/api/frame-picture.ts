import type { Sight, SightFrame } from '../../../queues/sight.js';
import { type Html, html } from '../../batch/report/html.js';
import { formatTime } from '../../format.js';

/** A frame as the model saw it, with the patches marked of which its tokens were made; it needs nothing from elsewhere. */
export function drawFrame(frame: SightFrame, { width, height }: Pick<Sight, 'width' | 'height'>): Html {
  const { index, ptsSeconds, picture, sameAs, tokensBefore, tokensAfter } = frame;
  const shown = picture !== null && /^[A-Za-z0-9+/=]+$/.test(picture);
  const image = shown
    ? html`<image width="${width}" height="${height}" href="data:image/webp;base64,${picture}"/>`
    : html`<rect width="${width}" height="${height}" class="none"/>`;
  const note =
    sameAs === undefined
      ? html`${tokensBefore} → ${tokensAfter} tokens`
      : html`shows frame ${sameAs + 1} again`;
  return html`<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="frame ${index + 1} at ${formatTime(ptsSeconds)}">
${image}${marks(frame, width, height)}</svg>
<figcaption>${index + 1} · ${formatTime(ptsSeconds)} · ${note}</figcaption></figure>`;
}

function marks(
  { grid, dominant, contextual, static: same = [] }: SightFrame,
  width: number,
  height: number,
): Html[] {
  const { rows, columns } = grid;
  if (rows < 1 || columns < 1) return [];
  const [w, h] = [width / columns, height / rows];
  const cell = (patch: number) =>
    `M${tenth((patch % columns) * w)} ${tenth(Math.floor(patch / columns) * h)}h${tenth(w)}v${tenth(h)}h${tenth(-w)}z`;
  const path = (patches: readonly number[], look: string) =>
    html`<path class="${look}" d="${patches
      .filter((patch) => patch >= 0 && patch < rows * columns)
      .map(cell)
      .join('')}"/>`;
  const targets = contextual.flatMap(([target]) => target ?? []);
  return [path(dominant, 'dominant'), path(targets, 'contextual'), path(same, 'static')];
}

function tenth(value: number): string {
  return String(Math.round(value * 10) / 10);
}
