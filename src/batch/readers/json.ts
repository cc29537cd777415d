import { settingsError } from '../errors.js';
import type { SourceRow } from './index.js';
import { readUtf8 } from './utf8.js';

/** The elements of a JSON file that is an array, or an object with one array among its fields, as the files of many benchmarks are. */
export async function* readArray(file: string): AsyncGenerator<SourceRow> {
  const splitter = new ArraySplitter(file);
  for await (const chunk of readUtf8(file)) for (const text of splitter.push(chunk)) yield { text };
  splitter.end();
}

const [quote, backslash, comma] = [0x22, 0x5c, 0x2c];
const isSpace = (code: number) =>
  code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09 || code === 0xfeff;
const isOpening = (code: number) => code === 0x5b || code === 0x7b;
const isClosing = (code: number) => code === 0x5d || code === 0x7d;

/**
 * Cuts a JSON text that comes in pieces into the elements of its array, without the space between their parts: each fits on a line.
 * Whether an element is JSON itself is for its reader to see.
 */
export class ArraySplitter {
  readonly #file: string;
  /** Codes that close what is open, the innermost last. */
  readonly #open: number[] = [];
  #inString = false;
  #isEscaped = false;
  /** How deep the elements lie; 0 before the array. */
  #listDepth = 0;
  #isObject = false;
  #lists = 0;
  #element = '';

  constructor(file: string) {
    this.#file = file;
  }

  /** The elements that are whole now. */
  push(chunk: string): string[] {
    const found: string[] = [];
    let from = 0;
    const keep = (to: number) => {
      if (this.#isInList) this.#element += chunk.slice(from, to);
      from = to;
    };
    for (let i = 0; i < chunk.length; i++) {
      const code = chunk.charCodeAt(i);
      if (this.#inString) this.#string(code);
      else if (this.#open.length === 0 && !isSpace(code) && !isOpening(code))
        throw this.#unexpected(this.#lists > 0 ? 'has more behind its array' : 'has none');
      else if (code === quote) this.#inString = true;
      else if (isSpace(code)) {
        keep(i);
        from = i + 1;
      } else if (isOpening(code)) {
        const wasInList = this.#isInList;
        this.#begin(code);
        if (!wasInList) from = i + 1;
      } else if (isClosing(code) || (code === comma && this.#open.length === this.#listDepth)) {
        const ends = this.#open.length === this.#listDepth;
        if (ends) {
          keep(i);
          from = i + 1;
          if (this.#element !== '') found.push(this.#element);
          this.#element = '';
        }
        if (isClosing(code)) this.#end(code, ends);
      }
    }
    keep(chunk.length);
    return found;
  }

  /** @throws InputError where there was no array, or it has not ended. */
  end(): void {
    if (this.#open.length > 0 || this.#inString)
      throw settingsError(`${this.#file} ends in the middle of its JSON: it is not whole`);
    if (this.#lists === 0) throw this.#unexpected('has none');
  }

  get #isInList(): boolean {
    return this.#listDepth > 0 && this.#open.length >= this.#listDepth;
  }

  #string(code: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (code === backslash) this.#isEscaped = true;
    else if (code === quote) this.#inString = false;
  }

  #begin(code: number): void {
    if (this.#open.length === 0) {
      if (this.#isObject || this.#lists > 0)
        throw settingsError(
          `${this.#file} holds several JSON values: if it is one a line, give --format jsonl`,
        );
      this.#isObject = code === 0x7b;
    }
    this.#open.push(code === 0x5b ? 0x5d : 0x7d);
    const isList = code === 0x5b && this.#open.length === (this.#isObject ? 2 : 1);
    if (!isList) return;
    if (this.#lists++ > 0) throw this.#unexpected('has several');
    this.#listDepth = this.#open.length;
  }

  #end(code: number, endsList: boolean): void {
    const expected = this.#open.pop()!;
    const [got, wanted] = [code, expected].map((one) => JSON.stringify(String.fromCharCode(one)));
    if (code !== expected) throw this.#unexpected(`has a ${got} where ${wanted} was expected`);
    if (endsList) this.#listDepth = 0;
  }

  #unexpected(what: string): Error {
    return settingsError(
      `expected a JSON array of objects, or an object with one array in it; ${this.#file} ${what}`,
    );
  }
}
