import { formatAgo, formatDate } from '../format.js';
import { now } from '../live.js';

/** How long ago; in full when pointed at. */
export function Ago({ at }: { readonly at: number }) {
  return (
    <time dateTime={new Date(at).toISOString()} title={formatDate(at)}>
      {formatAgo(at, now.use())}
    </time>
  );
}
