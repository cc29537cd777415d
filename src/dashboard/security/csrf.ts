import type { RequestHandler } from 'express';
import { refuse } from '../problem.js';
import { isSame } from './credential.js';
import type { Sessions } from './sessions.js';
import { isRead } from './writes.js';

/**
 * Each write shows the token of its session. bull-board's page takes its own from a cookie, see board.ts. No page elsewhere
 * can have a browser send a bearer's token, so that stands for itself.
 */
export function requireToken(sessions: Sessions): RequestHandler {
  return (request, response, next) => {
    const isBearer = /^bearer /i.test(request.headers.authorization ?? '');
    const token = request.get('X-CSRF-Token') ?? request.get('X-XSRF-TOKEN') ?? '';
    if (isRead(request) || isBearer || isSame(token, sessions.csrfOf(request))) return next();
    const found = token === '' ? 'none' : 'another';
    refuse(response, 403, `expected the token of \`/api/session\` as X-CSRF-Token, got ${found}`);
  };
}
