/** One after another, in the order in which they came: requests of one node want the same block, and would overtake each other in vain. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `body` when all before it with the same key have ended. */
  take<T>(key: string, body: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const own = before.then(body, body);
    this.#last.set(key, own);
    const forget = () => {
      if (this.#last.get(key) === own) this.#last.delete(key);
    };
    own.then(forget, forget);
    return own;
  }
}
