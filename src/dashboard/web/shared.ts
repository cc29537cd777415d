import { useEffect, useReducer } from 'preact/hooks';

/** A value of all pages: who uses it is drawn again when it changes. */
export class Shared<T> {
  #value: T;
  readonly #users = new Set<() => void>();

  constructor(value: T) {
    this.#value = value;
  }

  get value(): T {
    return this.#value;
  }

  set value(value: T) {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const redraw of this.#users) redraw();
  }

  /** A hook. */
  use(): T {
    const drawn = this.#value;
    const [, redraw] = useReducer((round: number) => round + 1, 0);
    useEffect(() => {
      const user = () => redraw(undefined);
      this.#users.add(user);
      // It may have changed between drawing and this.
      if (!Object.is(drawn, this.#value)) user();
      return () => {
        this.#users.delete(user);
      };
    }, []);
    return drawn;
  }
}
