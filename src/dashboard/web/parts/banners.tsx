import { awaySince, connection } from '../live.js';
import { Icon } from './icon.js';

/** What all pages say when something that they show is not there. */
export function Banners() {
  const since = awaySince.use();
  const isLost = connection.use() === 'lost';
  return (
    <div aria-live="polite">
      {isLost && (
        <p class="banner tone-warn">
          <Icon name="warn" />
          The connection to the dashboard is lost; it is tried again by itself.
        </p>
      )}
      {since !== null && !isLost && (
        <p class="banner tone-bad">
          <Icon name="warn" />
          Redis does not answer since {new Date(since).toLocaleTimeString()}; this page comes back by itself.
        </p>
      )}
    </div>
  );
}
