const pages = ['jobs', 'errors', 'datasets', 'compare', 'versus', 'health'] as const;

export type PageName = 'overview' | (typeof pages)[number] | 'job' | 'dataset' | 'missing';

export interface Route {
  readonly page: PageName;
  /** Of a job or a dataset. */
  readonly id: string | null;
}

/** Which page a path below the base shows: "", "jobs", "jobs/17". */
export function routeOf(path: string): Route {
  const [first = '', second = '', ...rest] = path.replace(/^\/+|\/+$/g, '').split('/');
  const missing: Route = { page: 'missing', id: null };
  if (rest.length > 0) return missing;
  if (first === '') return { page: 'overview', id: null };
  const page = pages.find((name) => name === first);
  if (!page) return missing;
  if (second === '') return { page, id: null };
  const id = decoded(second);
  if (id === null) return missing;
  if (page === 'jobs') return { page: 'job', id };
  return page === 'datasets' ? { page: 'dataset', id } : missing;
}

/** Null where somebody typed what no address holds. */
function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** The part of a path behind the base, which ends in a slash; null of what lies elsewhere. */
export function pathBelow(base: string, path: string): string | null {
  if (path.startsWith(base)) return path.slice(base.length);
  return `${path}/` === base ? '' : null;
}

export function jobPath(id: string): string {
  return `jobs/${encodeURIComponent(id)}`;
}

/** With parameters, where there are any; lists give a parameter several times. */
export function withQuery(path: string, query: URLSearchParams): string {
  const text = query.toString();
  return text === '' ? path : `${path}?${text}`;
}
