import type { Request, RequestHandler, Response } from 'express';
import type { Logger } from 'pino';
import type { Credential } from '../../settings.js';
import { refuse } from '../problem.js';
import { Attempts } from './attempts.js';
import { isShown } from './credential.js';
import type { Sessions } from './sessions.js';
import { isRead } from './writes.js';

interface GateParts {
  readonly credential: Credential | null;
  readonly sessions: Sessions;
  readonly base: string;
  readonly logger: Logger;
}

interface Attempt {
  readonly isRight: boolean;
  /** What was shown, in any form. */
  readonly shown: string;
}

/** Lets in whoever shows the credential or is logged in; without a credential everyone. */
export class Gate {
  readonly parts: GateParts;
  readonly #attempts = new Attempts();
  /** The attempt before: they are judged one behind the other, or many at once would all come before the first failure counts. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(parts: GateParts) {
    this.parts = parts;
  }

  readonly guard: RequestHandler = async (request, response, next) => {
    const { credential, sessions } = this.parts;
    const { authorization } = request.headers;
    if (credential === null) return next();
    if (authorization === undefined) {
      if (sessions.of(request) !== null) return next();
      return this.#turnAway(request, response);
    }
    const isRight = isShown(credential, authorization);
    const verdict = await this.judge(request, response, { isRight, shown: authorization });
    if (verdict === 'right') return next();
    const error = verdict === 'wrong' ? 'the credential is not the right one' : verdict;
    if (verdict === 'wrong') this.#challenge(request, response);
    refuse(response, verdict === 'wrong' ? 401 : 429, error);
  };

  /**
   * Minds an attempt to show the credential.
   *
   * @returns `right`, `wrong`, or a sentence where it comes too early, and so is not judged at all; `Retry-After` is set then.
   */
  judge(request: Request, response: Response, attempt: Attempt): Promise<string> {
    const verdict = this.#last.then(() => this.#judge(request, response, attempt));
    this.#last = verdict.catch(() => {});
    return verdict;
  }

  async #judge(request: Request, response: Response, { isRight, shown }: Attempt): Promise<string> {
    const address = request.ip ?? '';
    const guest = { address, device: this.parts.sessions.deviceOf(request) };
    const seconds = await this.#attempts.secondsToWait(guest);
    if (seconds > 0) {
      response.set('Retry-After', String(seconds));
      return `there were too many wrong attempts, so this one was not looked at: expected it after ${seconds} s`;
    }
    if (isRight) {
      this.#attempts.succeed(guest);
      return 'right';
    }
    await this.#attempts.fail(guest, shown);
    this.parts.logger.warn({ address }, 'a login failed');
    return 'wrong';
  }

  /** A browser that opens a page is sent to the login, anything else is told. */
  #turnAway(request: Request, response: Response): void {
    const { base } = this.parts;
    const isPage = isRead(request) && request.accepts(['json', 'html']) === 'html';
    if (isPage && !request.path.startsWith('/api/')) {
      response.redirect(303, `${base}/login?to=${encodeURIComponent(request.originalUrl)}`);
      return;
    }
    this.#challenge(request, response);
    refuse(response, 401, `expected a login at ${base}/login, or a header Authorization; got neither`);
  }

  /** For scripts of a page the browser itself must not ask for a password, as it does where it reads of "Basic". */
  #challenge(request: Request, response: Response): void {
    const isScript = request.get('Sec-Fetch-Mode') !== undefined;
    const scheme = this.parts.credential?.scheme === 'basic' && !isScript ? 'Basic' : 'Bearer';
    response.set('WWW-Authenticate', `${scheme} realm="visionzip"`);
  }
}
