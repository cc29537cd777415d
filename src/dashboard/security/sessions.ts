import { createHmac, randomBytes } from 'node:crypto';
import type { Request, Response } from 'express';

const hourMs = 3600 * 1000;
/** How long a login holds. */
const ofSession = { name: 'visionzip_session', lifetimeMs: 12 * hourMs };
/** How long a browser is known in which somebody logged in. */
const ofDevice = { name: 'visionzip_device', lifetimeMs: 30 * 24 * hourMs };
/** Of more the oldest end. */
const mostIds = 1_000;

interface CookieOptions {
  /** Below which the dashboard lies. */
  readonly path: string;
  readonly isSecure: boolean;
}

/** Who is logged in. They are held in memory: a dashboard that starts anew asks again. */
export class Sessions {
  readonly #sessions: CookieIds;
  /** A second cookie outlives the login: by it a browser is told apart from others at its address that guess. */
  readonly #devices: CookieIds;
  readonly #secret = randomBytes(32);

  constructor(cookie: CookieOptions) {
    this.#sessions = new CookieIds({ ...cookie, ...ofSession });
    this.#devices = new CookieIds({ ...cookie, ...ofDevice });
  }

  open(response: Response): void {
    this.#sessions.open(response);
    this.#devices.open(response);
  }

  close(request: Request, response: Response): void {
    this.#sessions.close(request, response);
  }

  /** The session of a request; null where there is none, or where it has ended. */
  of(request: Request): string | null {
    return this.#sessions.of(request);
  }

  /** What the browser of a request is known by; null where nobody has logged in there. */
  deviceOf(request: Request): string | null {
    return this.#devices.of(request);
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
}

interface CookieIdOptions extends CookieOptions {
  readonly name: string;
  readonly lifetimeMs: number;
}

/** Random names that browsers keep in a cookie. */
class CookieIds {
  readonly #ends = new Map<string, number>();
  readonly #options: CookieIdOptions;

  constructor(options: CookieIdOptions) {
    this.#options = options;
  }

  open(response: Response): void {
    const { name, lifetimeMs } = this.#options;
    const id = randomBytes(32).toString('base64url');
    this.#ends.set(id, Date.now() + lifetimeMs);
    const [oldest] = this.#ends.keys();
    if (this.#ends.size > mostIds && oldest !== undefined) this.#ends.delete(oldest);
    response.cookie(name, id, { ...this.#attributes(), maxAge: lifetimeMs });
  }

  close(request: Request, response: Response): void {
    const id = this.of(request);
    if (id !== null) this.#ends.delete(id);
    response.clearCookie(this.#options.name, this.#attributes());
  }

  /** Null where the browser has none, or where it has ended. */
  of({ headers: { cookie = '' } }: Request): string | null {
    const [, id = ''] = new RegExp(`(?:^|; *)${this.#options.name}=([^;]*)`).exec(cookie) ?? [];
    const end = this.#ends.get(id);
    if (end === undefined) return null;
    if (end > Date.now()) return id;
    this.#ends.delete(id);
    return null;
  }

  #attributes() {
    const { path, isSecure } = this.#options;
    return { httpOnly: true, sameSite: 'strict', secure: isSecure, path } as const;
  }
}
