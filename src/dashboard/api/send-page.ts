import type { Response } from 'express';

/** Nothing runs in such a page, and nothing is loaded: what it shows is in it. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'";

/** A page that needs nothing else, and is safe to send around. */
export function sendPage(response: Response, page: string): void {
  response
    .set({ 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff' })
    .type('html')
    .send(page);
}
