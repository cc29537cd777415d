import { once } from 'node:events';
import { createServer, get, request, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { appRoutes } from '@bull-board/api/dist/routes.js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hastyClient } from '../queues/connection.js';
import { routes } from '../src/dashboard/api/index.js';
import { sessionSchema } from '../src/dashboard/api/schemas.js';
import { type Dashboard, type DashboardOptions, startDashboard } from '../src/dashboard/server.js';
import type { Credential, DashboardSettings } from '../src/settings.js';
import { type Asked, askHttp, formOf } from './support/http.js';
import { useRedis } from './support/redis.js';
import { until } from './support/script.js';
import { Bench, longLock } from './support/worker.js';

const redis = useRedis();
const basic: Credential = { scheme: 'basic', user: 'ada', password: 'lovelace:1815' };
const bearer: Credential = { scheme: 'bearer', token: 'abcdefgh.1234' };
const wrongPasswords = ['', 'lovelace', 'lovelace:1815 ', 'Lovelace:1815'];

let bench: Bench;
let opened: Dashboard[];
beforeEach(() => {
  bench = new Bench(redis.home, redis.connection, longLock);
  opened = [];
});
afterEach(async () => {
  await Promise.all(opened.map((dashboard) => dashboard.close()));
  await bench.close();
});

/** Starts a dashboard on a free port, and returns what asks it. */
async function start(access: Partial<DashboardSettings> = {}, options: DashboardOptions = {}) {
  const settings = { ...bench.settings, logLevel: 'silent', dashboard: access };
  const dashboard = await startDashboard({ settings, connection: redis.connection, port: 0, ...options });
  opened.push(dashboard);
  const ask = (path: string, asked?: Asked) => askHttp(new URL(path, dashboard.url), asked);
  return { dashboard, ask, origin: new URL(dashboard.url).origin, url: dashboard.url };
}

type Started = Awaited<ReturnType<typeof start>>;

const basicHeader = (password: string, user = 'ada') => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
});

/** All that bull-board can be told to do. */
function boardWrites(queue: string, id: string) {
  const writes = appRoutes.api.filter(({ method }) => method !== 'get');
  return writes.map(({ method, route }) => ({
    method: String(method).toUpperCase(),
    path: `queues${String(route).replace(':queueName', queue).replace(':jobId', id)}`,
  }));
}

/** Logs in, and returns the header that shows it. */
async function logIn({ ask }: Started, fields: Record<string, string>) {
  const { status, headers } = await ask('login', formOf(fields));
  expect(status).toBe(303);
  return { cookie: headers['set-cookie']![0]!.split(';')[0]! };
}

describe('the pages', () => {
  it('are one page on loopback that loads nothing from elsewhere, and unknown ones are not found', async () => {
    const { ask, url } = await start();
    expect(new URL(url).hostname).toBe('127.0.0.1');
    for (const path of [
      '',
      'jobs',
      'jobs/a-b.1',
      'errors',
      'datasets/7',
      'compare?from=1',
      'versus?a=1&b=2',
    ]) {
      const { status, headers, text } = await ask(path);
      expect([path, status]).toEqual([path, 200]);
      expect(text).toContain('<base href="/">');
      const policy = headers['content-security-policy'];
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain('unsafe');
      expect(headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' });
    }
    for (const path of ['elsewhere', 'jobs/a/b', '.env']) expect((await ask(path)).status).toBe(404);
  });

  it('name what they load by its digest, which may be kept for good', async () => {
    const { ask } = await start();
    const { text } = await ask('');
    const [path] = /assets\/app\.js\?v=[0-9a-f]{16}/.exec(text)!;
    const script = await ask(path);
    expect([script.status, script.headers['cache-control']]).toEqual([
      200,
      expect.stringContaining('immutable'),
    ]);
    const etag = script.headers.etag!;
    expect((await ask(path, { headers: { 'if-none-match': etag } })).status).toBe(304);
    expect((await ask('assets/app.js?v=old')).headers['cache-control']).toBe('no-cache');
    for (const other of ['assets/none.js', 'assets/..%2fserver.js', 'assets/%2e%2e/server.js'])
      expect((await ask(other)).status).toBe(404);
  });

  it('have no inline script or style', async () => {
    const { ask } = await start({ credential: basic });
    for (const text of [(await ask('login')).text]) {
      expect(text).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/i);
    }
  });
});

describe('bull-board', () => {
  const jobs = async ({ ask }: Started, status: string) => {
    const { text } = await ask(`queues/api/queues?activeQueue=${bench.settings.queue}&status=${status}`);
    return (JSON.parse(text) as { queues: { jobs: Record<string, unknown>[] }[] }).queues[0]!.jobs;
  };

  it('shows jobs with long payloads cut, and links to their page', async () => {
    const long = 'x'.repeat(10_000);
    const id = await bench.client.ask({ video: 'a.mp4', questions: Array(100).fill(long) });
    const [waiting] = await jobs(await start({ base: '/deep/down' }), 'waiting');
    expect(waiting).toMatchObject({
      ...{ id, data: { video: 'a.mp4' }, externalUrl: { href: `/deep/down/jobs/${id}` } },
    });
    const { questions } = waiting!.data as { questions: string[] };
    expect(questions).toHaveLength(21);
    expect(questions[0]).toBe(`${'x'.repeat(500)}… (10000 characters)`);
    expect(questions[20]).toBe('… (100 items)');
  });

  it('runs no script but its own files', async () => {
    const { ask } = await start({ base: '/deep' });
    const { headers, text } = await ask('queues');
    expect(text).toContain('<base href="/deep/queues/"');
    const scripts = [...text.matchAll(/<script\b([^>]*)>/g)].map(([, attributes]) => attributes!);
    expect(scripts.length).toBeGreaterThan(1);
    for (const script of scripts) expect(script).toMatch(/ src="static\/|type="application\/json"/);
    expect(headers['content-security-policy']).toMatch(
      /script-src 'self';.*style-src 'self' 'unsafe-inline'/,
    );
  });

  it('changes nothing unless it is told that it may', async () => {
    const id = await bench.client.ask({ video: 'a.mp4', questions: 'what?' });
    const started = await start({ credential: bearer });
    const headers = { authorization: `Bearer ${bearer.token}` };
    const writes = boardWrites(bench.settings.queue, id);
    expect(writes.length).toBeGreaterThan(15);
    for (const { path, method } of writes)
      expect([path, (await started.ask(path, { method, headers })).status]).toEqual([path, 405]);
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 1, completed: 0 });
  });

  it('changes jobs with --board-writes, with the token that its page finds in a cookie alone', async () => {
    await bench.client.ask({ video: 'a.mp4', questions: 'what?' });
    const { ask, origin } = await start({}, { boardWrites: true });
    const empty = `queues/api/queues/${bench.settings.queue}/empty`;
    const { headers } = await ask('queues');
    const cookie = headers['set-cookie']!.find((one) => one.startsWith('XSRF-TOKEN='))!;
    expect(cookie).toContain('Path=/queues');
    const token = cookie.slice('XSRF-TOKEN='.length).split(';')[0]!;
    const put = (own: Record<string, string>) => ask(empty, { method: 'PUT', headers: own });
    expect((await put({ origin })).status).toBe(403);
    expect((await put({ origin, 'x-xsrf-token': `${token.slice(0, -1)}.` })).status).toBe(403);
    expect((await put({ origin: 'http://evil.example', 'x-xsrf-token': token })).status).toBe(403);
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 1 });
    expect((await put({ origin, 'x-xsrf-token': token })).status).toBe(200);
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 0 });
    const readOnly = await start({ isReadOnly: true }, { boardWrites: true });
    expect((await readOnly.ask(empty, { method: 'PUT' })).status).toBe(405);
    // Its page then offers no buttons.
    expect((await readOnly.ask('queues/api/queues')).text).toContain('"readOnlyMode":true');
    expect((await ask('queues/api/queues')).text).toContain('"readOnlyMode":false');
  });
});

describe('who asks', () => {
  it('is refused under another name than that of this machine, or of the public URL', async () => {
    const { ask, url } = await start();
    const { port } = new URL(url);
    const statusAs = async (host: string, started: Pick<Started, 'ask'> = { ask }) =>
      (await started.ask('', { headers: { host } })).status;
    for (const host of [`127.0.0.1:${port}`, 'localhost', `[::1]:${port}`, 'LOCALHOST:1'])
      expect([host, await statusAs(host)]).toEqual([host, 200]);
    for (const host of ['evil.example', `evil.example:${port}`, '127.0.0.1.evil.example', '10.0.0.1', 'a b'])
      expect([host, await statusAs(host)]).toEqual([host, 403]);
    const proxied = await start({ publicUrl: 'https://dash.example' });
    expect(await statusAs('dash.example', proxied)).toBe(200);
    expect(await statusAs('evil.example', proxied)).toBe(403);
  });

  it('may use any address of a machine that listens on all of them, but no foreign name', async () => {
    const { ask } = await start({ credential: bearer }, { host: '0.0.0.0' });
    const headers = { authorization: `Bearer ${bearer.token}` };
    expect((await ask('', { headers: { ...headers, host: '192.0.2.7:3000' } })).status).toBe(200);
    expect((await ask('', { headers: { ...headers, host: 'evil.example' } })).status).toBe(403);
  });

  it('writes from a page of the same origin alone', async () => {
    const { ask, origin } = await start();
    const wrong: Record<string, string>[] = [
      { origin: 'http://evil.example' },
      { origin: 'null' },
      { origin: origin.replace(/\d+$/, '1') },
      { origin: origin.replace('http:', 'https:') },
      { origin, 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];
    for (const path of ['login', 'logout', 'api/jobs', 'queues/api/queues'])
      for (const headers of wrong)
        expect([path, headers, (await ask(path, { method: 'POST', headers })).status]).toEqual([
          path,
          headers,
          403,
        ]);
    expect(
      (await ask('login', { method: 'POST', headers: { origin, 'sec-fetch-site': 'same-origin' } })).status,
    ).toBe(303);
  });

  it('is led here by a page elsewhere, which loads nothing else', async () => {
    const { ask } = await start();
    const statusOf = async (path: string, site: string, goal: string) =>
      (await ask(path, { headers: { 'sec-fetch-site': site, 'sec-fetch-dest': goal } })).status;
    for (const site of ['cross-site', 'same-site']) {
      expect(await statusOf('jobs', site, 'document')).toBe(200);
      for (const [path, goal] of [
        ['api/jobs?text=a', 'empty'],
        ['api/live', 'empty'],
        ['assets/app.js', 'script'],
        ['jobs', 'iframe'],
      ])
        expect([path, await statusOf(path!, site, goal!)]).toEqual([path, 403]);
    }
    expect(await statusOf('api/jobs', 'same-origin', 'empty')).toBe(200);
    expect(await statusOf('api/jobs', 'none', 'document')).toBe(200);
  });

  it('writes from the origin of the public URL alone where there is one', async () => {
    const { ask, origin } = await start({ publicUrl: 'https://dash.example' });
    const login = (from: string) => ask('login', { method: 'POST', headers: { origin: from } });
    expect((await login('https://dash.example')).status).toBe(303);
    expect((await login('http://dash.example')).status).toBe(403);
    expect((await login(origin)).status).toBe(403);
  });

  it('is told 405 to every write in read-only mode, but may log in', async () => {
    const id = await bench.client.ask({ video: 'a.mp4', questions: 'what?' });
    const started = await start({ isReadOnly: true, credential: basic }, { boardWrites: true });
    const headers = await logIn(started, { user: 'ada', password: basic.password });
    const session = sessionSchema.parse(JSON.parse((await started.ask('api/session', { headers })).text));
    expect(session).toMatchObject({ isReadOnly: true, isLoggedIn: true });
    const own = routes.map(({ path }) => `api${path.replace(':id', id)}`);
    expect(own.length).toBeGreaterThan(10);
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      for (const path of [...new Set(['', 'metrics', 'jobs', 'elsewhere', ...own])]) {
        const token = { 'x-csrf-token': session.csrf };
        const { status, headers: said } = await started.ask(path, {
          method,
          headers: { ...headers, ...token },
        });
        expect([method, path, status, said.allow]).toEqual([method, path, 405, 'GET, HEAD, OPTIONS']);
      }
    }
    for (const { path, method } of boardWrites(bench.settings.queue, id))
      expect([path, (await started.ask(path, { method, headers })).status]).toEqual([path, 405]);
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 1 });
    expect((await started.ask('', { headers })).status).toBe(200);
    expect((await started.ask('logout', { method: 'POST', headers })).status).toBe(303);
  });

  it('writes with the token of the session alone, or as a bearer', async () => {
    const id = await bench.client.ask({ video: 'a.mp4', questions: 'what?' });
    const path = `api/jobs/${id}/cancel`;
    const started = await start({ credential: basic });
    const fields = { user: 'ada', password: basic.password };
    const [mine, other] = [await logIn(started, fields), await logIn(started, fields)];
    const tokenOf = async (headers: Record<string, string>) =>
      sessionSchema.parse(JSON.parse((await started.ask('api/session', { headers })).text)).csrf;
    const { origin } = started;
    const cancel = (headers: Record<string, string>) =>
      started.ask(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: '{}',
      });
    expect(await tokenOf(mine)).toBe(await tokenOf(mine));
    for (const token of ['', 'x', await tokenOf(other), await tokenOf(basicHeader(basic.password))]) {
      const { status, text } = await cancel({ ...mine, origin, 'x-csrf-token': token });
      expect([status, JSON.parse(text).error]).toEqual([403, expect.stringContaining('X-CSRF-Token')]);
    }
    const right = { ...mine, 'x-csrf-token': await tokenOf(mine) };
    expect((await cancel({ ...right, origin: 'http://evil.example' })).status).toBe(403);
    expect((await bench.client.status()).counts).toMatchObject({ waiting: 1 });
    expect((await cancel({ ...right, origin })).status).toBe(200);
    const bearers = await start({ credential: bearer });
    const headers = { authorization: `Bearer ${bearer.token}` };
    const { status, text } = await bearers.ask(path, { method: 'POST', headers });
    expect([status, JSON.parse(text)]).toEqual([200, { outcome: 'finished' }]);
  });

  it('gets errors as a sentence, without where they were thrown', async () => {
    const { ask, origin } = await start();
    const csrf = JSON.parse((await ask('api/session')).text).csrf;
    const headers = { origin, 'x-csrf-token': csrf, 'content-type': 'application/json' };
    const answers = [
      await ask('assets/%E0%A4%A'),
      await ask('queues/api/queues/none/1'),
      await ask('api/nothing'),
      await ask('api/jobs', { method: 'POST', headers, body: '{"video":' }),
      await ask('elsewhere', { method: 'POST', headers }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([400, 404, 404, 400, 404]);
    for (const { text } of answers) {
      expect(Object.keys(JSON.parse(text))).toContain('error');
      expect(text).not.toMatch(/\bat .*\.js|node_modules|\/src\//);
    }
  });
});

it('shows all of the queue with a user of Redis who may only read', async () => {
  const id = await bench.client.ask({ video: 'a.mp4', questions: 'what?' });
  const admin = hastyClient(redis.connection);
  await admin.connect();
  const rights = ['~*', '&*', '+@read', '+@connection', '+@pubsub', '+info'];
  await admin.call('ACL', 'SETUSER', 'reader', 'on', '>secret', ...rights);
  admin.disconnect();
  const connection = { ...redis.connection, username: 'reader', password: 'secret' };
  const { ask } = await start({}, { connection });
  await until(async () => JSON.parse((await ask('api/jobs')).text).total === 1);
  for (const path of ['api/overview', 'api/health', 'api/datasets', 'api/errors', `api/jobs/${id}`])
    expect([path, (await ask(path)).status]).toEqual([path, 200]);
  expect(JSON.parse((await ask('api/overview')).text).counts).toMatchObject({ waiting: 1, completed: 0 });
  expect((await ask('metrics')).text).toContain('visionzip_queue_jobs{state="waiting"} 1');
});

describe('the login', () => {
  it('is demanded by every path but that of the login itself, and of health', async () => {
    const { ask } = await start({ credential: basic, base: '/v' });
    for (const path of ['api/session', 'api/jobs', 'metrics', 'assets/app.js', 'queues/api/queues']) {
      const { status, text, headers } = await ask(path);
      expect([path, status]).toEqual([path, 401]);
      expect(headers['www-authenticate']).toBe('Basic realm="visionzip"');
      expect(JSON.parse(text).error).toContain('expected a login at /v/login');
    }
    const page = await ask('jobs?state=failed', { headers: { accept: 'text/html,*/*;q=0.8' } });
    expect([page.status, page.headers.location]).toEqual([303, '/v/login?to=%2Fv%2Fjobs%3Fstate%3Dfailed']);
    const script = await ask('api/session', { headers: { 'sec-fetch-mode': 'cors' } });
    expect(script.headers['www-authenticate']).toBe('Bearer realm="visionzip"');
    expect((await ask('login')).status).toBe(200);
    expect((await ask('login.css')).headers['content-type']).toContain('text/css');
  });

  it('takes the right user and password as a header, and no other', async () => {
    for (const password of wrongPasswords) {
      const { ask } = await start({ credential: basic });
      expect((await ask('', { headers: basicHeader(password) })).status).toBe(401);
    }
    const { ask } = await start({ credential: basic });
    expect((await ask('', { headers: basicHeader(basic.password) })).status).toBe(200);
    expect((await ask('', { headers: basicHeader(basic.password, 'eve') })).status).toBe(401);
    expect((await ask('', { headers: { authorization: `Bearer ada:${basic.password}` } })).status).toBe(401);
  });

  it('takes the right token as a header, and no other', async () => {
    const { ask } = await start({ credential: bearer });
    for (const value of [`bearer ${bearer.token}`, `Bearer ${bearer.token}`])
      expect((await ask('', { headers: { authorization: value } })).status).toBe(200);
    for (const value of [`Bearer ${bearer.token}x`, bearer.token, `Basic ${bearer.token}`])
      expect((await ask('', { headers: { authorization: value } })).status).toBe(401);
  });

  it('by the form sets a cookie that no script reads and no page elsewhere sends', async () => {
    const started = await start({ credential: basic, base: '/v', publicUrl: 'https://dash.example/v' });
    const origin = { origin: 'https://dash.example' };
    const form = formOf({ user: 'ada', password: basic.password, to: '/v/jobs?state=failed' });
    const { status, headers } = await started.ask('login', {
      ...form,
      headers: { ...form.headers, ...origin },
    });
    expect([status, headers.location]).toEqual([303, '/v/jobs?state=failed']);
    const [cookie = ''] = headers['set-cookie']!;
    expect(cookie).toMatch(
      /^visionzip_session=[\w-]{43}; Max-Age=43200; Path=\/v; .*HttpOnly; Secure; SameSite=Strict$/,
    );
    const own = { cookie: `other=1; ${cookie.split(';')[0]}` };
    expect((await started.ask('', { headers: own })).status).toBe(200);
    const again = await started.ask('login?to=%2Fv%2Fjobs', { headers: own });
    expect([again.status, again.headers.location]).toEqual([303, '/v/jobs']);
    const out = await started.ask('logout', { method: 'POST', headers: { ...own, ...origin } });
    expect([out.status, out.headers.location]).toEqual([303, '/v/login']);
    expect((await started.ask('api/session', { headers: own })).status).toBe(401);
    expect((await started.ask('', { headers: { cookie: 'visionzip_session=none' } })).status).toBe(401);
  });

  it('by the form says what was wrong, and takes a token where one is asked for', async () => {
    const started = await start({ credential: bearer });
    const wrong = await started.ask('login', formOf({ token: 'abcdefgh.1235', to: '"><script>' }));
    expect([wrong.status, wrong.headers['set-cookie']]).toEqual([401, undefined]);
    expect(wrong.text).toContain('That is not the right one.');
    expect(wrong.text).not.toContain('<script');
    const back = await started.ask('login', formOf({ token: 'abcdefgh.1235', to: '/jobs?a=1&lt=2' }));
    expect(back.text).toContain('value="/jobs?a=1&amp;lt=2"');
    const cookie = await logIn(started, { token: bearer.token });
    expect((await started.ask('', { headers: cookie })).status).toBe(200);
  });

  it('leads nowhere else', async () => {
    const { ask } = await start({ base: '/v' }); // Open: who comes to the login is led on.
    const foreign = [
      'https://evil.example/v/',
      '//evil.example/v/',
      '/\\evil.example/v/',
      '/\t/evil.example',
      'v',
      '/w/',
      '/v/../w',
    ];
    for (const to of [...foreign, '/v/../v/..//evil.example', 'javascript:alert(1)'])
      expect([to, (await ask(`login?to=${encodeURIComponent(to)}`)).headers.location]).toEqual([to, '/v/']);
    expect((await ask('login?to=%2Fv%2Fjobs%2F1%23log')).headers.location).toBe('/v/jobs/1#log');
  });

  it('is slowed down for whoever guesses, however right the next guess is', async () => {
    const { ask } = await start({ credential: basic });
    const guess = (password: string) => ask('login', formOf({ user: 'ada', password }));
    for (let i = 0; i < 5; i++) expect((await guess(`guess ${i}`)).status).toBe(401);
    const { status, headers } = await guess(basic.password);
    expect([status, Number(headers['retry-after'])]).toEqual([429, expect.closeTo(2, -0.5)]);
    expect((await ask('api/session', { headers: basicHeader(basic.password) })).status).toBe(429);
  });

  it('is not slowed down by others at the same address in a browser that was logged in before', async () => {
    const started = await start({ credential: basic });
    const right = formOf({ user: 'ada', password: basic.password });
    const { headers } = await started.ask('login', right);
    const [, device = ''] = headers['set-cookie']!.map((cookie) => cookie.split(';')[0]!);
    for (let i = 0; i < 6; i++) await started.ask('login', formOf({ user: 'ada', password: `guess ${i}` }));
    const late = await started.ask('login', right);
    expect([late.status, late.text]).toEqual([429, expect.stringMatching(/Try again in \d s\./)]);
    const mine = await started.ask('login', { ...right, headers: { ...right.headers, cookie: device } });
    expect(mine.status).toBe(303);
    expect((await started.ask('api/session', { headers: { cookie: device } })).status).toBe(401);
  });

  it('is slowed down for guesses that come all at once, too', async () => {
    const { url } = await start({ credential: bearer });
    const { port } = new URL(url);
    const guess = (i: number) =>
      `GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer wrong-${i}\r\n`;
    const socket = connect(Number(port), '127.0.0.1');
    for (let i = 0; i < 19; i++) socket.write(`${guess(i)}\r\n`);
    socket.end(`${guess(19)}Connection: close\r\n\r\n`);
    let text = '';
    for await (const part of socket) text += part;
    const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    expect(statuses).toEqual([...Array(5).fill('401'), ...Array(15).fill('429')]);
  });

  it('counts the guesses of each address behind the proxy, and of none that claims to be one', async () => {
    const url = 'https://dash.example';
    const guess = ({ ask }: Started, from: string, password: string) =>
      ask('api/session', { headers: { ...basicHeader(password), 'x-forwarded-for': from } });
    const proxied = await start({ credential: basic, publicUrl: url });
    for (let i = 0; i < 6; i++) await guess(proxied, '192.0.2.1', `wrong ${i}`);
    expect((await guess(proxied, '192.0.2.1', basic.password)).status).toBe(429);
    expect((await guess(proxied, '192.0.2.1, 192.0.2.2', basic.password)).status).not.toBe(429);
    const direct = await start({ credential: basic });
    for (let i = 0; i < 6; i++) await guess(direct, `192.0.2.${i}`, `wrong ${i}`);
    expect((await guess(direct, '192.0.2.9', basic.password)).status).toBe(429);
  });

  it('is slowed down for all of a crowd that guesses, but not for who was let in before', async () => {
    const proxied = await start({ credential: basic, publicUrl: 'https://dash.example' });
    const guess = (from: string, password: string) =>
      proxied.ask('api/session', { headers: { ...basicHeader(password), 'x-forwarded-for': from } });
    expect((await guess('192.0.2.1', basic.password)).status).not.toBe(429);
    for (let i = 0; i < 100; i++) expect((await guess(`198.51.100.${i}`, 'wrong')).status).toBe(401);
    expect((await guess('203.0.113.1', basic.password)).status).toBe(429);
    expect((await guess('192.0.2.1', basic.password)).status).not.toBe(429);
  });
});

describe('the start', () => {
  it('is refused on an address that others reach, without a credential', async () => {
    for (const host of ['0.0.0.0', '::', '192.0.2.1', 'dash.example']) {
      await expect(start({}, { host })).rejects.toThrow(
        /has no login: expected 127\.0\.0\.1, or VISIONZIP_DASHBOARD_AUTH/,
      );
    }
    expect((await start({}, { host: '127.0.0.2' })).url).toContain('127.0.0.2');
    expect((await start({}, { host: 'localhost' })).url).toMatch(/127\.0\.0\.1|\[::1\]/);
    await start({ credential: basic }, { host: '0.0.0.0' });
  });

  it('is refused where the public URL does not end in the base path', async () => {
    const publicUrl = 'https://dash.example/a/';
    await expect(start({ publicUrl, base: '/b' })).rejects.toThrow(
      'expected the public URL to end in the base path /b/',
    );
    expect((await start({ publicUrl })).url).toMatch(/\/a\/$/);
    await expect(start({ base: 'visionzip' })).rejects.toThrow('expected a path such as /visionzip');
    await expect(start({ publicUrl: 'dash.example' })).rejects.toThrow('expected a URL such as https://');
  });

  it('is undone by a close that ends the streams', async () => {
    const { dashboard, url } = await start();
    const stream = get(new URL('api/live', url), { agent: false });
    const [response] = await once(stream, 'response');
    await once(response, 'data');
    const ended = once(response, 'end');
    response.resume();
    await dashboard.close();
    await ended; // Not "aborted": the reader is told of the end.
    opened = [];
  });

  it('fails in words where Redis or the port is not to be had', async () => {
    await expect(start({}, { connection: { path: '/nowhere/s' } })).rejects.toThrow(
      'cannot reach Redis at /nowhere/s',
    );
    const port = Number(new URL((await start()).url).port);
    await expect(start({}, { port })).rejects.toThrow('EADDRINUSE');
  });
});

describe('behind a proxy', () => {
  let proxy: Server;
  afterEach(() => void proxy.close());

  /** As nginx does it: the path stays as it is, and who asked is said. */
  function startProxy(target: () => URL): Promise<URL> {
    proxy = createServer((asked, answer) => {
      const headers = { ...asked.headers, 'x-forwarded-for': asked.socket.remoteAddress! };
      const { hostname, port } = target();
      const passed = request(
        { hostname, port, path: asked.url, method: asked.method, headers },
        (response) => {
          answer.writeHead(response.statusCode!, response.headers);
          response.pipe(answer);
        },
      );
      asked.pipe(passed);
    });
    return new Promise((resolve) => {
      proxy.listen(0, '127.0.0.1', () => {
        resolve(new URL(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}/visionzip/`));
      });
    });
  }

  it('everything lies below the base path, links and cookies included', async () => {
    let target = new URL('http://127.0.0.1');
    const url = await startProxy(() => target);
    const started = await start({ publicUrl: url.href, credential: basic });
    target = new URL(started.url);
    const ask = (path: string, asked?: Asked) => askHttp(new URL(path, url), asked);

    const first = await ask('jobs', { headers: { accept: 'text/html' } });
    expect(first.headers.location).toBe('/visionzip/login?to=%2Fvisionzip%2Fjobs');
    const form = await ask(first.headers.location!);
    expect(form.text).toContain('action="/visionzip/login"');
    const sent = formOf({ user: 'ada', password: basic.password, to: '/visionzip/jobs' });
    const entered = await ask('login', { ...sent, headers: { ...sent.headers, origin: url.origin } });
    expect(entered.headers.location).toBe('/visionzip/jobs');
    const cookie = entered.headers['set-cookie']![0]!.split(';')[0]!;
    const page = await ask('jobs', { headers: { cookie } });
    expect(page.text).toContain('<base href="/visionzip/">');
    const [script] = /assets\/app\.js[^"]*/.exec(page.text)!;
    expect((await ask(script, { headers: { cookie } })).status).toBe(200);
    const board = await ask('queues/', { headers: { cookie } });
    expect(board.text).toContain('<base href="/visionzip/queues/"');
    for (const path of ['/', '/jobs', '/visionzipper/', '/queues/'])
      expect([path, (await ask(path, { headers: { cookie } })).status]).toEqual([path, 404]);
  });
});
