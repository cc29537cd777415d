import type { ComponentChildren } from 'preact';
import { Icon } from './icon.js';

/** What went wrong where something was to be read or done. */
export function Failure({ error, retry }: { readonly error: Error; readonly retry?: () => void }) {
  return (
    <div class="notice tone-bad" role="alert">
      <Icon name="warn" />
      <span>{error.message}</span>
      {retry && (
        <button type="button" class="quiet" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Where there is nothing to show yet: what to do first. */
export function Empty({
  title,
  children,
}: {
  readonly title: string;
  readonly children?: ComponentChildren;
}) {
  return (
    <section class="empty card">
      <h2>{title}</h2>
      {children}
    </section>
  );
}

export function Loading() {
  return (
    <p class="loading" role="status">
      Reading…
    </p>
  );
}
