import type { RequestHandler } from 'express';

const nothingElse = ["default-src 'none'", "base-uri 'self'", "form-action 'self'", "frame-ancestors 'none'"];
const own = ["script-src 'self'", "connect-src 'self'", "media-src 'self'"];

/** The dashboard's own pages: nothing from elsewhere, nothing inline. */
const pagePolicy = [...nothingElse, ...own, "style-src 'self'", "img-src 'self' data: blob:"].join('; ');

/**
 * bull-board's pages set styles in their HTML, but no script: its configuration lies in an element that the browser does not
 * run. The font that it would load from elsewhere is refused.
 */
const boardPolicy = [
  ...nothingElse,
  ...own,
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
].join('; ');

/** What every answer says; a route may say otherwise of itself. Nothing is kept by browsers and proxies but what asks for it. */
export const sayPolicies: RequestHandler = (_request, response, next) => {
  response.set({
    'Content-Security-Policy': pagePolicy,
    'X-Content-Type-Options': 'nosniff',
    // With no referrer at all browsers would not name the origin of a form, either.
    'Referrer-Policy': 'same-origin',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Cache-Control': 'no-store',
  });
  next();
};

export const sayBoardPolicy: RequestHandler = (_request, response, next) => {
  response.set('Content-Security-Policy', boardPolicy);
  next();
};
