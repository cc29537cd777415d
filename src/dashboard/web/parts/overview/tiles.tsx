import type { Overview } from '../../../api/schemas.js';
import { states } from '../../filters.js';
import { formatCount } from '../../format.js';
import { Icon } from '../icon.js';
import { toneOf } from '../state.js';

/** How many jobs stand where; each leads to them. */
export function Tiles({ counts }: { readonly counts: Overview['counts'] }) {
  return (
    <ul class="tiles" aria-label="Jobs by state">
      {states.map((state) => (
        <li key={state}>
          <a href={`jobs?state=${state}`} class={`tile tone-${toneOf(state)} ${counts[state] ? '' : 'none'}`}>
            <span class="tile-word">
              <Icon name={state} />
              {state}
            </span>
            <strong>{formatCount(counts[state])}</strong>
          </a>
        </li>
      ))}
    </ul>
  );
}
