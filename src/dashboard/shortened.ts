const maxText = 500;
const maxItems = 20;

/** A copy for a page: long texts and lists are cut, and say how much is missing. */
export function shortened(value: unknown): unknown {
  if (typeof value === 'string') {
    return value.length <= maxText ? value : `${value.slice(0, maxText)}… (${value.length} characters)`;
  }
  if (Array.isArray(value)) {
    const shown = value.slice(0, maxItems).map(shortened);
    return value.length <= maxItems ? shown : [...shown, `… (${value.length} items)`];
  }
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shortened(inner)]));
}
