/** What is wrong with a URL, without a part of it: any part may be of the password. Null where nothing is. */
export function faultOfUrl(url: string): string | null {
  const [, authority] = /^rediss?:\/\/(.*)$/s.exec(url) ?? [];
  if (authority === undefined) return 'expected a URL that begins with redis:// or rediss://';
  // A password that holds one of these ends the address for whoever parses it, and what follows becomes the host.
  const end = authority.search(/[/?#]/);
  if (end >= 0 && /[@#]/.test(authority.slice(end))) {
    return 'expected a URL whose user and password are percent-encoded: "/" is %2F, "?" is %3F, "#" is %23, "@" is %40';
  }
  if (!URL.canParse(url)) return 'expected a URL such as redis://127.0.0.1:6379';
  return canDecode(authority)
    ? null
    : 'expected a URL whose user and password are percent-encoded: "%" is %25';
}

function canDecode(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
