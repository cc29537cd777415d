import { z } from 'zod';
import { variable, whole } from './variable.js';

/** How the dashboard is reached, and who may. */
export interface DashboardSettings {
  /** Who shows this is let in; null: there is no login. */
  readonly credential: Credential | null;
  /** Path below which everything lies, without a slash at its end: empty, or such as `/visionzip`. Null: that of `publicUrl`. */
  readonly base: string | null;
  /** As browsers have it where a proxy stands before the dashboard. */
  readonly publicUrl: string | null;
  readonly isReadOnly: boolean;
}

export type Credential =
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string };

/** Where a worker tells its metrics; nowhere without a port. */
export interface MetricsSettings {
  readonly host: string;
  readonly port: number | null;
}

const credential = z.string().transform((text, context): Credential => {
  const [, user, password] = /^basic:([^:]+):(.{8,})$/s.exec(text) ?? [];
  if (user !== undefined && password !== undefined) return { scheme: 'basic', user, password };
  const [, token] = /^bearer:([A-Za-z0-9._~+/=-]{8,})$/.exec(text) ?? [];
  if (token !== undefined) return { scheme: 'bearer', token };
  const message = 'expected basic:USER:PASSWORD or bearer:TOKEN, with 8 characters of secret or more';
  context.addIssue({ code: 'custom', message });
  return z.NEVER;
});
const base = z
  .string()
  .regex(/^(\/[A-Za-z0-9._~-]+)*\/?$/, 'expected a path such as /visionzip')
  .refine((path) => !/\/\.\.?(\/|$)/.test(path), 'expected a path without "." and ".."')
  .transform((path) => path.replace(/\/$/, ''));
const publicUrl = z.string().refine((text) => {
  if (!/^https?:\/\/[^\s]+$/.test(text) || !URL.canParse(text)) return false;
  const { username, password, search, hash, pathname } = new URL(text);
  return `${username}${password}${search}${hash}` === '' && base.safeParse(pathname).success;
}, 'expected a URL such as https://host/visionzip, without user, query and fragment');
const yesOrNo = z
  .enum(['1', '0', 'true', 'false'], 'expected 1 or 0')
  .transform((text) => text === '1' || text === 'true');

/** What the environment says of the dashboard, and of metrics. */
export const dashboardVariables = {
  VISIONZIP_DASHBOARD_AUTH: variable<Credential | null>(
    credential,
    null,
    'what the dashboard asks for: `basic:USER:PASSWORD` or `bearer:TOKEN`',
    'none: it is open to this machine, and to no other',
  ),
  VISIONZIP_DASHBOARD_URL: variable<string | null>(
    publicUrl,
    null,
    'URL of the dashboard as browsers have it where a proxy stands before it',
    'none: there is no proxy',
  ),
  VISIONZIP_DASHBOARD_BASE: variable<string | null>(
    base,
    null,
    'path below which the dashboard lies, such as `/visionzip`',
    'that of `VISIONZIP_DASHBOARD_URL`, else `/`',
  ),
  VISIONZIP_DASHBOARD_READ_ONLY: variable<boolean>(
    yesOrNo,
    false,
    'with 1 nothing can be changed through the dashboard',
    '`0`',
  ),
  VISIONZIP_METRICS_PORT: variable<number | null>(
    whole(0, 65_535),
    null,
    'port on which a worker tells its metrics and its health; 0 takes a free one',
    'none: it tells them nowhere',
  ),
  VISIONZIP_METRICS_HOST: variable<string>(
    z.string(),
    '127.0.0.1',
    'address for that; there is no login, so leave it where only yours can reach it',
  ),
};

type Values = { [Name in keyof typeof dashboardVariables]: (typeof dashboardVariables)[Name]['fallback'] };

export function dashboardOf(values: Values) {
  return {
    dashboard: {
      credential: values.VISIONZIP_DASHBOARD_AUTH,
      base: values.VISIONZIP_DASHBOARD_BASE,
      publicUrl: values.VISIONZIP_DASHBOARD_URL,
      isReadOnly: values.VISIONZIP_DASHBOARD_READ_ONLY,
    },
    metrics: { host: values.VISIONZIP_METRICS_HOST, port: values.VISIONZIP_METRICS_PORT },
  };
}
