import { bareOptions, letterOf } from '../../pipeline/questions.js';
import type { Share } from '../scores/intervals.js';
import { percent } from './format.js';
import { type Html, html } from './html.js';
import type { ShownRow } from './types.js';

/* What the sections of the page are made of. */

export interface Column {
  readonly title: string;
  /** `number`s stand to the right, `bar`s are as wide as each other, `wide` ones hold sentences. */
  readonly look?: 'number' | 'bar' | 'wide';
}

/** A table that scrolls by itself where the page is narrow, by keyboard too. The first cell of a row is its head. */
export function table(
  caption: string,
  columns: readonly Column[],
  rows: readonly (readonly (Html | string)[])[],
): Html {
  const look = (i: number) => columns[i]!.look ?? 'plain';
  const heads = columns.map(({ title }, i) => html`<th scope="col" class="${look(i)}">${title}</th>`);
  const lines = rows.map(
    ([first, ...rest]) =>
      html`<tr><th scope="row" class="${look(0)}">${first}</th>${rest.map((cell, i) => html`<td class="${look(i + 1)}">${cell}</td>`)}</tr>\n`,
  );
  return html`<div class="scroll" role="region" aria-label="${caption}" tabindex="0"><table><caption>${caption}</caption>
<thead><tr>${heads}</tr></thead><tbody>
${lines}</tbody></table></div>`;
}

/** A share as a bar, its interval as a whisker; the numbers beside it say the same to whoever does not see it. */
export function bar({ value, low, high }: Pick<Share, 'value'> & Partial<Share>): Html | string {
  if (Number.isNaN(value)) return '';
  const at = (share: number) => (100 * share).toFixed(2);
  const whisker =
    low === undefined || high === undefined
      ? null
      : html`<path class="whisker" d="M${at(low)} 6H${at(high)}M${at(low)} 2.5v7M${at(high)} 2.5v7"/>`;
  return html`<svg viewBox="0 0 100 12" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect class="track" width="100" height="12"/><rect class="value" width="${at(value)}" height="12"/>${whisker}</svg>`;
}

/** "52.1 to 70.4 %". */
export function interval({ low, high }: Share): string {
  return Number.isNaN(low) ? '–' : `${(100 * low).toFixed(1)} to ${percent(high)}`;
}

/** Text that somebody else wrote, in whichever direction it runs. */
export function given(text: string | null): Html {
  return text === null ? html`–` : html`<span class="given" dir="auto">${text}</span>`;
}

export function questionCell({ question, options }: Pick<ShownRow, 'question' | 'options'>): Html {
  if (options === null) return given(question);
  const items = bareOptions(options).map(
    (option, i) => html`<li>${letterOf(i)}. <span class="given" dir="auto">${option}</span></li>`,
  );
  return html`${given(question)}<ul class="options">${items}</ul>`;
}
