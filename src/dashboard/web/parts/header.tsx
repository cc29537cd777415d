import type { TargetedSubmitEvent } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { logOut, session } from '../api.js';
import { navigate, query, route } from '../router.js';
import type { PageName } from '../routes.js';
import { Icon } from './icon.js';

const links: readonly (readonly [path: string, word: string, pages: readonly PageName[]])[] = [
  ['./', 'Overview', ['overview']],
  ['jobs', 'Jobs', ['jobs', 'job', 'versus']],
  ['errors', 'Errors', ['errors']],
  ['datasets', 'Datasets', ['datasets', 'dataset']],
  ['compare', 'Compare', ['compare']],
  ['health', 'Health', ['health']],
];

export function Header() {
  const { page } = route();
  return (
    <header class="shell">
      <a class="skip" href={`${location.pathname}${location.search}#main`}>
        Skip to the content
      </a>
      <div class="shell-row">
        <a class="name" href="./">
          <img src="assets/favicon.svg" alt="" width="22" height="22" />
          VisionZip
          <span class="soft">{session.value?.queue}</span>
        </a>
        {session.value?.isReadOnly && <span class="badge tone-idle">read-only</span>}
        <Search />
        {session.value?.isLoggedIn && (
          <button type="button" class="quiet" onClick={logOut}>
            Log out
          </button>
        )}
      </div>
      <nav aria-label="Pages">
        {links.map(([path, word, pages]) => (
          <a key={path} href={path} aria-current={pages.includes(page) ? 'page' : undefined}>
            {word}
          </a>
        ))}
        <a href="queues" data-plain>
          bull-board
        </a>
      </nav>
    </header>
  );
}

/** Searches all jobs; "/" leads here from anywhere. */
function Search() {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof Element && event.target.matches('input, textarea, select')) return;
      event.preventDefault();
      field.current?.focus();
      field.current?.select();
    };
    document.addEventListener('keydown', focus);
    return () => document.removeEventListener('keydown', focus);
  }, []);
  const search = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const wanted = new URLSearchParams(route().page === 'jobs' ? query() : undefined);
    wanted.delete('offset');
    if (field.current!.value.trim() === '') wanted.delete('text');
    else wanted.set('text', field.current!.value.trim());
    navigate(`jobs?${wanted}`);
  };
  return (
    <search class="search">
      <form onSubmit={search}>
        <Icon name="search" />
        <input
          ref={field}
          type="search"
          aria-label="Search jobs: video, question, answer, error, id"
          placeholder="Search jobs ( / )"
          value={route().page === 'jobs' ? (query().get('text') ?? '') : ''}
        />
      </form>
    </search>
  );
}
