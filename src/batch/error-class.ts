/** What stands for what differs from one failure to the next. */
const other = '…';

/** Of a longer message the rest says nothing about its class. */
const readLimit = 2_000;

const variableParts: readonly RegExp[] = [
  /"(?:[^"\\]|\\.)*"/g,
  /(?<!\w)'[^']*'(?!\w)/g,
  // Paths from the root, from here or from above, of Windows, and URLs.
  /(?<![\w.…/])(?:[a-z][a-z0-9+]*:\/\/|[A-Za-z]:\\|\.{0,2}\/)[^\s,;:()"']+/g,
  // Digests and UUIDs.
  /\b(?:0x[0-9a-fA-F]+|(?=[a-f-]*\d)[0-9a-f]{8,}(?:-[0-9a-f]{4,})*)\b/g,
  // Numbers with or without a unit, but not those of a name such as h264.
  /(?<![A-Za-z_\d])\d+(?:[.,:]\d+)*(?:e[+-]?\d+)?(?=(?:ms|s|kB|MB|GB|x)?(?!\w))/g,
];

/**
 * What failures have in common that differ in names and numbers alone: quoted parts, paths, digests and numbers become "…". What
 * stands in backticks is kept, since that names an option.
 *
 *     token budget 54 + 10 exceeds the frame's 49 tokens  →  token budget … + … exceeds the frame's … tokens
 */
export function errorClassOf(message: string): string {
  const line = message.slice(0, readLimit).replace(/\s+/g, ' ').trim();
  const general = variableParts.reduce((text, part) => text.replace(part, other), line);
  // Lists of several lengths are alike.
  return general.replace(/…(?:, …)+/g, other).slice(0, 300);
}
