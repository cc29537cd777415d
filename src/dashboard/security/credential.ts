import { createHash, timingSafeEqual } from 'node:crypto';
import type { Credential } from '../../settings.js';

/** Takes as long whatever differs, and wherever. */
export function isSame(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** Whether a header `Authorization` shows the credential. */
export function isShown(credential: Credential, authorization: string): boolean {
  const [scheme = '', value = ''] = authorization.split(/ +/, 2);
  if (scheme.toLowerCase() !== credential.scheme) return false;
  const shown = credential.scheme === 'basic' ? Buffer.from(value, 'base64').toString('utf8') : value;
  return isSame(shown, asShown(credential));
}

/** Whether the fields of the login form show it. */
export function isFilledIn(credential: Credential, fields: Readonly<Record<string, unknown>>): boolean {
  const { user = '', password = '', token = '' } = fields;
  const shown = credential.scheme === 'basic' ? `${user}:${password}` : String(token);
  return isSame(shown, asShown(credential));
}

function asShown(credential: Credential): string {
  return credential.scheme === 'basic' ? `${credential.user}:${credential.password}` : credential.token;
}
