/** The assignments whose addresses a plugin knows and the datastore may not have yet. */
import { CoreError } from "../../errors/core-error.ts";

/** The agent that assigned them was killed before the datastore had them. */
class Unwritten extends CoreError {
  override readonly name = "Unwritten";
  readonly kind = "timeout";

  constructor(addresses: readonly string[]) {
    super(
      `cannot confirm ${addresses.join(", ")}: tortie-node was restarted before the datastore had it; the next attempt gets an address`,
    );
  }
}

/** How long an outcome is kept that no plugin asks for. */
const keptMs = 120_000;

export class Unconfirmed {
  readonly #written = new Map<string, Promise<void>>();

  /** `key`: of the attachment. */
  begin(key: string, written: Promise<void>): void {
    written.catch(() => undefined);
    this.#written.set(key, written);
    const forget = () => {
      if (this.#written.get(key) === written) this.#written.delete(key);
    };
    setTimeout(forget, keptMs).unref();
  }

  /** Resolves when nothing of the attachment is being written any more. */
  async settled(key: string): Promise<void> {
    await this.#written.get(key)?.catch(() => undefined);
    this.#written.delete(key);
  }

  /**
   * Resolves when the datastore has the addresses. Rejects with the error if it will not, or if they are not among those that the attachment holds,
   * which are read if this agent did not assign them.
   */
  async confirm(key: string, addresses: readonly string[], held: () => Promise<readonly string[]>): Promise<void> {
    const written = this.#written.get(key);
    if (written !== undefined) return await written;
    const present = await held();
    if (!addresses.every((address) => present.includes(address))) throw new Unwritten(addresses);
  }
}
