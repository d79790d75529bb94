/** The ADDs in progress, from the assignment of their addresses to the record of their endpoint: whether more writes of a block are to be expected. */

/** An ADD that says no more for this long is not counted: it has failed, or its main plugin records no endpoint. */
const maxMs = 5000;

export class Adds {
  readonly #since = new Map<string, number>();

  /** `key`: of the attachment. */
  begin(key: string): void {
    this.#since.delete(key);
    this.#since.set(key, performance.now());
  }

  end(key: string): void {
    this.#since.delete(key);
  }

  count(): number {
    const oldest = performance.now() - maxMs;
    for (const [key, since] of this.#since) {
      if (since > oldest) break;
      this.#since.delete(key);
    }
    return this.#since.size;
  }
}
