import { type Node, parseTree } from 'jsonc-parser';

/** A field of a JSON object as it was written. */
export interface Member {
  readonly name: string;
  /** Name and value, `"id": 1.0`. */
  readonly text: string;
}

/**
 * The fields of a JSON object in the order and with the text in which they stand there: JavaScript would round
 * `9007199254740993`, shorten `1.0`, lose `1e400` and a repeated name, and sort names that are numbers. Null for anything
 * else.
 */
export function readMembers(text: string): Member[] | null {
  if (!isObject(parseJson(text))) return null;
  const properties = parseShallow(text)?.children;
  if (!properties) return null;
  return properties.map(({ offset, length, children }) => ({
    name: children![0]!.value,
    text: text.slice(offset, offset + length),
  }));
}

/** Undefined for what is nested so deep that the parser cannot follow. */
function parseShallow(text: string): Node | undefined {
  try {
    return parseTree(text);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** What stands behind the last field of a name, as it was written; undefined where there is none. */
export function valueText(members: readonly Member[], name: string): string | undefined {
  const text = members.findLast((member) => member.name === name)?.text;
  return text && /^"(?:[^"\\]|\\.)*"\s*:\s*([\s\S]*)$/.exec(text)![1];
}

/** Undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
