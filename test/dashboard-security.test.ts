import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import express, { type Request, type Response } from 'express';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { isLoopback, networkOf } from '../src/dashboard/security/address.js';
import { Attempts, type Guest } from '../src/dashboard/security/attempts.js';
import { isSame } from '../src/dashboard/security/credential.js';
import { refuseForeignHosts } from '../src/dashboard/security/hosts.js';
import { Sessions } from '../src/dashboard/security/sessions.js';
import { askHttp } from './support/http.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('sessions', () => {
  const sessions = () => new Sessions({ path: '/', isSecure: false });

  /** Opens one, and returns a request that carries its cookie. */
  function open(all: Sessions): Request {
    const cookies: string[] = [];
    const cookie = (name: string, value: string) => cookies.push(`${name}=${value}`);
    all.open({ cookie } as unknown as Response);
    return { headers: { cookie: cookies.join('; ') } } as Request;
  }

  it('end after twelve hours', () => {
    const all = sessions();
    const request = open(all);
    vi.advanceTimersByTime(12 * 3600_000 - 1);
    expect(all.of(request)).not.toBe(null);
    vi.advanceTimersByTime(1);
    expect(all.of(request)).toBe(null);
    expect(all.deviceOf(request)).not.toBe(null);
    vi.advanceTimersByTime(30 * 24 * 3600_000);
    expect(all.deviceOf(request)).toBe(null);
  });

  it('end, the oldest first, where there are more than a thousand', () => {
    const all = sessions();
    const [first, second] = [open(all), open(all)];
    for (let i = 0; i < 999; i++) open(all);
    expect([all.of(first), all.of(second) === null]).toEqual([null, false]);
  });

  it('have a token each, which those of another dashboard do not share', () => {
    const [all, others] = [sessions(), sessions()];
    const [one, two] = [open(all), open(all)];
    const nobody = { headers: {} } as Request;
    const tokens = [all.csrfOf(one), all.csrfOf(two), all.csrfOf(nobody), others.csrfOf(nobody)];
    expect(new Set(tokens).size).toBe(4);
    expect(all.csrfOf(one)).toBe(tokens[0]);
  });
});

describe('wrong attempts', () => {
  const guest = (address: string, device: string | null = null) => ({ address, device });

  async function guess(attempts: Attempts, who: Guest, count: number): Promise<number[]> {
    const waits: number[] = [];
    for (let i = 0; i < count; i++) {
      await attempts.fail(who, `guess ${i}`);
      waits.push(await attempts.secondsToWait(who));
    }
    return waits;
  }

  it('cost nothing four times, then a pause that doubles, up to a minute, for their address alone', async () => {
    const attempts = new Attempts();
    const waits = await guess(attempts, guest('192.0.2.1'), 12);
    expect(waits).toEqual([0, 0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60]);
    expect(await attempts.secondsToWait(guest('192.0.2.2'))).toBe(0);
    vi.advanceTimersByTime(60_000);
    expect(await attempts.secondsToWait(guest('192.0.2.1'))).toBe(0);
  });

  it('are not hidden by right ones from the same address', async () => {
    const attempts = new Attempts();
    await guess(attempts, guest('192.0.2.1'), 4);
    attempts.succeed(guest('192.0.2.1'));
    await attempts.fail(guest('192.0.2.1'), 'another guess');
    expect(await attempts.secondsToWait(guest('192.0.2.1'))).toBe(2);
  });

  it('count once where the same is shown again', async () => {
    const attempts = new Attempts();
    for (let i = 0; i < 100; i++) await attempts.fail(guest('192.0.2.1'), 'the old password');
    expect(await attempts.secondsToWait(guest('192.0.2.1'))).toBe(0);
    expect(await guess(attempts, guest('192.0.2.1'), 4)).toEqual([0, 0, 0, 2]);
  });

  it('keep nobody waiting in whose browser somebody logged in before, unless they come from there', async () => {
    const attempts = new Attempts();
    await guess(attempts, guest('192.0.2.1'), 9);
    expect(await attempts.secondsToWait(guest('192.0.2.1', 'mine'))).toBe(0);
    expect(await guess(attempts, guest('192.0.2.1', 'mine'), 5)).toEqual([0, 0, 0, 0, 2]);
    expect(await attempts.secondsToWait(guest('192.0.2.1', 'other'))).toBe(0);
  });

  it('of one address alone, as fast as it may, keep no other one waiting', async () => {
    const attempts = new Attempts();
    for (let second = 0, i = 0; second < 3600; second += 1) {
      if ((await attempts.secondsToWait(guest('192.0.2.1'))) === 0)
        await attempts.fail(guest('192.0.2.1'), `guess ${i++}`);
      vi.advanceTimersByTime(1000);
    }
    expect(await attempts.secondsToWait(guest('192.0.2.2'))).toBe(0);
  });
});

describe('addresses', () => {
  it('are of this machine alone, or not', () => {
    for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost'])
      expect([host, isLoopback(host)]).toEqual([host, true]);
    for (const host of [
      '0.0.0.0',
      '::',
      '10.0.0.1',
      '128.0.0.1',
      '::2',
      'localhost.example',
      '',
      '127.0.0.1.example',
    ])
      expect([host, isLoopback(host)]).toEqual([host, false]);
  });

  it('stand for their network', () => {
    const networks: [string, string][] = [
      ['192.0.2.1', '192.0.2.1'],
      ['::ffff:192.0.2.1', '192.0.2.1'],
      ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
      ['2001:db8:1:2::6', '2001:db8:1:2'],
      ['2001:db8::6', '2001:db8:0:0'],
      ['fe80::1%eth0', 'fe80:0:0:0'],
      ['::1', '0:0:0:0'],
    ];
    expect(networks.map(([address]) => networkOf(address))).toEqual(networks.map(([, network]) => network));
  });
});

it('knows the address that is listened on by whatever way it is written', async () => {
  const app = express().use(refuseForeignHosts('2001:DB8:0::1', null), (_, response) => void response.end());
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const statusAs = async (host: string) => (await askHttp(url, { headers: { host } })).status;
  expect([await statusAs('[2001:db8::1]:3000'), await statusAs('[2001:db8::2]')]).toEqual([200, 403]);
  server.close();
});

it('compares secrets of any length', () => {
  expect([isSame('', ''), isSame('a', 'a'), isSame('a', 'aa'), isSame('é', 'e')]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
