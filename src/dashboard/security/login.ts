import express, { type RequestHandler, Router } from 'express';
import { isFilledIn } from './credential.js';
import type { Gate } from './gate.js';
import { loginPage, loginStyle } from './login-page.js';

/** The form, where it is sent to, and the way out. */
export function loginRoutes(gate: Gate): Router {
  const { credential, sessions, base } = gate.parts;
  const router = Router();

  const show: RequestHandler = (request, response) => {
    const to = placeWithin(base, request.query.to);
    if (credential === null || sessions.of(request) !== null) return response.redirect(303, to);
    response.type('html').send(loginPage({ base, scheme: credential.scheme, to }));
  };

  const enter: RequestHandler = async (request, response) => {
    const fields: Readonly<Record<string, unknown>> = request.body ?? {};
    const to = placeWithin(base, fields.to);
    if (credential === null) return response.redirect(303, to);
    const isRight = isFilledIn(credential, fields);
    const { user, password, token } = fields;
    const verdict = await gate.judge(request, response, {
      isRight,
      shown: JSON.stringify([user, password, token]),
    });
    if (verdict === 'right') {
      sessions.open(response);
      return response.redirect(303, to);
    }
    const error =
      verdict === 'wrong'
        ? 'That is not the right one.'
        : `There were too many wrong attempts, so this one was not looked at. Try again in ${response.get('Retry-After')} s.`;
    response.status(verdict === 'wrong' ? 401 : 429).type('html');
    response.send(loginPage({ base, scheme: credential.scheme, to, error }));
  };

  router.get('/login', show);
  router.get('/login.css', (_request, response) => void response.type('css').send(loginStyle));
  router.post('/login', express.urlencoded({ extended: false, limit: '8kb' }), enter);
  router.post('/logout', (request, response) => {
    sessions.close(request, response);
    response.redirect(303, `${base}/login`);
  });
  return router;
}

/** A path of the dashboard, whatever was asked for: nobody is to be led elsewhere by a link to the login. */
function placeWithin(base: string, to: unknown): string {
  const home = `${base}/`;
  const here = 'http://here';
  if (typeof to !== 'string' || !to.startsWith('/') || !URL.canParse(to, here)) return home;
  const { origin, pathname, search, hash } = new URL(to, here);
  const isWithin = origin === here && pathname.startsWith(home) && !pathname.startsWith('//');
  return isWithin ? `${pathname}${search}${hash}` : home;
}
