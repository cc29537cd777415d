/** A word as a POSIX shell takes it. */
export function quote(word: string): string {
  return /^[A-Za-z0-9_./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** What fetches the same as a page shows. */
export function curl(address: string): string {
  return `curl ${quote(address)}`;
}
