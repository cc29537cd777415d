import { createHmac, randomBytes } from 'node:crypto';
import type { Request, Response } from 'express';

const cookieName = 'visionzip_session';
/** How long a login holds, in milliseconds. */
const lifetimeMs = 12 * 3600 * 1000;
/** Of more logins the oldest end. */
const mostSessions = 1_000;

interface CookieOptions {
  /** Below which the dashboard lies. */
  readonly path: string;
  readonly isSecure: boolean;
}

/** Who is logged in. They are held in memory: a dashboard that starts anew asks again. */
export class Sessions {
  readonly #ends = new Map<string, number>();
  readonly #secret = randomBytes(32);
  readonly #cookie: CookieOptions;

  constructor(cookie: CookieOptions) {
    this.#cookie = cookie;
  }

  open(response: Response): void {
    const id = randomBytes(32).toString('base64url');
    this.#ends.set(id, Date.now() + lifetimeMs);
    const [oldest] = this.#ends.keys();
    if (this.#ends.size > mostSessions && oldest !== undefined) this.#ends.delete(oldest);
    response.cookie(cookieName, id, { ...this.#attributes(), maxAge: lifetimeMs });
  }

  close(request: Request, response: Response): void {
    const id = this.of(request);
    if (id !== null) this.#ends.delete(id);
    response.clearCookie(cookieName, this.#attributes());
  }

  /** The session of a request; null where there is none, or where it has ended. */
  of({ headers: { cookie = '' } }: Request): string | null {
    const [, id = ''] = new RegExp(`(?:^|; *)${cookieName}=([^;]*)`).exec(cookie) ?? [];
    const end = this.#ends.get(id);
    if (end === undefined) return null;
    if (end > Date.now()) return id;
    this.#ends.delete(id);
    return null;
  }

  /** What the pages of a session send along with each write, and no page elsewhere can know. */
  csrfOf(request: Request): string {
    return createHmac('sha256', this.#secret)
      .update(this.of(request) ?? 'no session')
      .digest('base64url');
  }

  /** What a page is told of itself. */
  describe(request: Request): { readonly csrf: string; readonly isLoggedIn: boolean } {
    return { csrf: this.csrfOf(request), isLoggedIn: this.of(request) !== null };
  }

  #attributes() {
    const { path, isSecure } = this.#cookie;
    return { httpOnly: true, sameSite: 'strict', secure: isSecure, path } as const;
  }
}
