import type { z } from 'zod';
import type { AskJobInput } from '../../../queues/schemas.js';
import type { actionOutcomeSchema, Session } from '../api/schemas.js';
import { addressOf } from './router.js';
import { Shared } from './shared.js';

/** An answer of the API that is none. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export const session = new Shared<Session | null>(null);

/** Whether what changes something is shown. */
export function mayWrite(): boolean {
  return session.value !== null && !session.value.isReadOnly;
}

/** What a path below `api/` answers. */
export function read<T>(path: string, abort?: AbortSignal): Promise<T> {
  return request<T>(path, { signal: abort });
}

export function write<T>(path: string, body: unknown = {}): Promise<T> {
  return request<T>(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-CSRF-Token': session.value?.csrf ?? '' },
    body: JSON.stringify(body),
  });
}

export async function startSession(): Promise<void> {
  session.value = await read<Session>('session');
}

/** @returns the id of the new job */
export async function ask(job: AskJobInput): Promise<string> {
  return (await write<{ id: string }>('jobs', job)).id;
}

export type Outcome = z.infer<typeof actionOutcomeSchema>['outcome'];

export async function act(id: string, action: 'cancel' | 'retry'): Promise<Outcome> {
  return (await write<{ outcome: Outcome }>(`jobs/${encodeURIComponent(id)}/${action}`)).outcome;
}

async function request<T>(path: string, init: RequestInit): Promise<T> {
  const response = await fetch(addressOf(`api/${path}`), init).catch((error) => {
    if (init.signal?.aborted) throw error;
    throw new Problem(0, 'The dashboard does not answer.');
  });
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body as T;
  if (response.status === 401) goToLogin();
  throw new Problem(response.status, problemOf(body) ?? `The dashboard answered ${response.status}.`);
}

function problemOf(body: unknown): string | null {
  const error = body && typeof body === 'object' && 'error' in body ? body.error : null;
  return typeof error === 'string' ? error : null;
}

/** The server's own page, which comes back here. */
function goToLogin(): void {
  const here = location.pathname + location.search;
  location.replace(addressOf(`login?${new URLSearchParams({ to: here })}`));
}

export async function logOut(): Promise<void> {
  const headers = { 'X-CSRF-Token': session.value?.csrf ?? '' };
  await fetch(addressOf('logout'), { method: 'POST', headers, redirect: 'manual' }).catch(() => null);
  location.assign(addressOf('login'));
}
