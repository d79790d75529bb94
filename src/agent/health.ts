/** What the probes of Calico's DaemonSet ask: `/liveness` and `/readiness`. */

/** Why something is not ready, by its name; `undefined`: it is. */
export class Health {
  readonly #reasons = new Map<string, string | undefined>();

  /** Names what the agent waits for. */
  set(name: string, reason: string | undefined): void {
    this.#reasons.set(name, reason);
  }

  /** Empty when all is ready. */
  reasons(): readonly string[] {
    return [...this.#reasons].flatMap(([name, reason]) => (reason === undefined ? [] : `${name}: ${reason}`));
  }
}
