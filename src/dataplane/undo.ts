/** What a call created in the kernel, and how to roll it back: in reverse order, continuing after failures. */
import { CoreError } from "../errors/core-error.ts";
import { FailuresError } from "../errors/run-every.ts";
import type { Request } from "../netlink/message.ts";
import type { Place } from "../plan/resource.ts";
import type { NetlinkConnection } from "./connection.ts";
import { type Attempt, hasErrno, KernelError, UnexpectedError } from "./errors.ts";
import { Namespaces, placeText } from "./namespaces.ts";

export class UndoList {
  readonly #steps: { readonly what: () => Attempt; readonly action: (namespaces: Namespaces) => void }[] = [];

  /**
   * Registers a roll-back by one message, or none. `what` follows "cannot". Both functions run only if the call fails.
   */
  addRequest(what: () => Attempt, place: Place, request: (connection: NetlinkConnection) => Request | undefined): void {
    const described = (): Attempt => {
      const [operation, object] = what();
      return [operation, `${object}${placeText(place)}`];
    };
    this.add(described, (namespaces) => {
      const connection = namespaces.connection(place);
      const message = request(connection);
      if (message === undefined) return;
      const outcome = connection.request(message);
      if (outcome.errno === 0 || hasErrno(outcome, ...gone)) return;
      throw new KernelError(described(), outcome);
    });
  }

  add(what: () => Attempt, action: (namespaces: Namespaces) => void): void {
    this.#steps.push({ what, action });
  }

  /** Runs the steps and forgets them. Throws `FailuresError` that names every one that failed. */
  run({ sys, sandbox }: Namespaces): void {
    const failures: CoreError[] = [];
    const namespaces = new Namespaces(sys, sandbox);
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step.action(namespaces);
      } catch (error) {
        failures.push(error instanceof CoreError ? error : new UnexpectedError(step.what(), error));
      }
    }
    namespaces.close();
    if (failures.length > 0) throw new FailuresError(failures);
  }
}

/** The kernel's errors for deleting a missing object: link, route, address, filter, qdisc. */
const gone = ["ENODEV", "ESRCH", "EADDRNOTAVAIL", "ENOENT"];
