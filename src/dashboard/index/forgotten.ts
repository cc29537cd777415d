/** Of how many jobs it is kept what they asked. */
const limit = 10_000;

/** What jobs asked that the queue has forgotten, so that they can be asked again; of too many the oldest go. */
export class Forgotten {
  readonly #data = new Map<string, string>();

  keep(id: string, data: string): void {
    this.#data.set(id, data);
    const [oldest] = this.#data.keys();
    if (this.#data.size > limit && oldest !== undefined) this.#data.delete(oldest);
  }

  get(id: string): string | null {
    return this.#data.get(id) ?? null;
  }
}
