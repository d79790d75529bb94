/** The endpoints that the probes of Calico's DaemonSet ask: `/liveness` and `/readiness`. */

/** The reasons why the agent is not ready, by name. */
export class Health {
  readonly #reasons = new Map<string, string | undefined>();

  /** Sets the reason under `name`; `undefined` clears it. */
  set(name: string, reason: string | undefined): void {
    this.#reasons.set(name, reason);
  }

  /** Empty if the agent is ready. */
  reasons(): readonly string[] {
    return [...this.#reasons].flatMap(([name, reason]) => (reason === undefined ? [] : `${name}: ${reason}`));
  }
}
