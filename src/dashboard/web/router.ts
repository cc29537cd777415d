import { pathBelow, type Route, routeOf } from './routes.js';
import { Shared } from './shared.js';

/** Where all pages lie: the `<base>` that the server wrote into the page. It ends in a slash. */
export const base = new URL(document.baseURI);

export const address = new Shared(new URL(location.href));

/** Of the address. Who draws with them is drawn by the whole page, which follows it. */
export function route(): Route {
  return routeOf(pathBelow(base.pathname, address.value.pathname) ?? 'missing/page');
}

export function query(): URLSearchParams {
  return address.value.searchParams;
}

/** Of a path below the base. */
export function addressOf(path: string): string {
  return new URL(path, base).href;
}

/** Shows another page, `path` counted from the base; `replace` where the way back should leave this one out. */
export function navigate(path: string, { replace = false } = {}): void {
  const to = new URL(path, base);
  const isOther = to.pathname !== location.pathname;
  history[replace ? 'replaceState' : 'pushState'](null, '', to);
  address.value = to;
  if (!isOther) return;
  window.scrollTo(0, 0);
  // Who hears the page rather than sees it is told that it is another one.
  requestAnimationFrame(() => document.querySelector<HTMLElement>('main')?.focus({ preventScroll: true }));
}

window.addEventListener('popstate', () => {
  address.value = new URL(location.href);
});

/** Links to our own pages are followed without loading anything; those marked `data-plain` lead to what the server makes. */
document.addEventListener('click', (event) => {
  if (event.defaultPrevented || event.button !== 0) return;
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const link = event.target instanceof Element ? event.target.closest('a') : null;
  if (!link?.href || link.target || link.download || 'plain' in link.dataset) return;
  const to = new URL(link.href);
  const path = to.origin === base.origin ? pathBelow(base.pathname, to.pathname) : null;
  if (path === null || to.hash !== '') return;
  event.preventDefault();
  navigate(path + to.search);
});
