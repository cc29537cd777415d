import { formatCount } from '../../format.js';
import { query } from '../../router.js';
import { Icon } from '../icon.js';

export const pageSize = 50;

/** Which part of a long list is shown, and the ways to the others. */
export function Paging({ total, offset }: { readonly total: number; readonly offset: number }) {
  if (total <= pageSize && offset === 0) return null;
  const last = Math.max(0, Math.floor((total - 1) / pageSize) * pageSize);
  return (
    <nav class="paging" aria-label="Parts of the list">
      <Step to={Math.max(0, offset - pageSize)} isPossible={offset > 0} word="Back" icon="back" />
      <span>
        {formatCount(offset + 1)}–{formatCount(Math.min(total, offset + pageSize))} of {formatCount(total)}
      </span>
      <Step
        to={Math.min(last, offset + pageSize)}
        isPossible={offset + pageSize < total}
        word="Further"
        icon="next"
      />
    </nav>
  );
}

interface StepProps {
  readonly to: number;
  readonly isPossible: boolean;
  readonly word: string;
  readonly icon: 'back' | 'next';
}

function Step({ to, isPossible, word, icon }: StepProps) {
  const wanted = new URLSearchParams(query());
  if (to === 0) wanted.delete('offset');
  else wanted.set('offset', String(to));
  const label = (
    <>
      {icon === 'back' && <Icon name="back" />}
      {word}
      {icon === 'next' && <Icon name="next" />}
    </>
  );
  if (!isPossible) return <span class="button off">{label}</span>;
  return (
    <a class="button" href={`jobs?${wanted}`}>
      {label}
    </a>
  );
}
