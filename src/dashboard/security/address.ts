import { BlockList, isIP, isIPv6 } from 'node:net';
import { InputError } from '../../errors.js';
import type { Credential } from '../../settings.js';

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether only this machine can reach the address. A name other than `localhost` may mean any. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  return isIP(host) !== 0 && loopback.check(host, isIPv6(host) ? 'ipv6' : 'ipv4');
}

/** @throws InputError where others could reach the dashboard without a login. */
export function checkAddress(host: string, credential: Credential | null): void {
  if (credential !== null || isLoopback(host)) return;
  throw new InputError(
    `others than this machine may reach the address ${host}, and the dashboard has no login: ` +
      'expected 127.0.0.1, or VISIONZIP_DASHBOARD_AUTH (basic:USER:PASSWORD or bearer:TOKEN)',
    { fault: 'settings' },
  );
}

/** What stands for whoever has an address: of IPv6 the network, since each has 2⁶⁴ addresses of one. */
export function networkOf(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (mapped !== undefined || !isIPv6(address)) return mapped ?? address;
  const [head = '', tail = ''] = address.replace(/%.*/, '').split('::');
  const groups = (text: string) => text.split(':').filter((group) => group !== '');
  const missing = Math.max(0, 8 - groups(head).length - groups(tail).length);
  return [...groups(head), ...Array(missing).fill('0'), ...groups(tail)].slice(0, 4).join(':');
}
