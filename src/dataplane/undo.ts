/** What a call created in the kernel, and how to take it back: last first, all of it, whatever fails. */
import { CoreError } from "../errors/core-error.ts";
import type { Request } from "../netlink/message.ts";
import type { Place } from "../plan/resource.ts";
import type { NetlinkConnection } from "./connection.ts";
import type { Scene } from "./dataplane.ts";
import { type Attempt, KernelError, refusedWith, UndoError, UnexpectedError } from "./errors.ts";
import { Places, placeText } from "./places.ts";

export class UndoList {
  readonly #steps: { readonly what: () => Attempt; readonly action: (places: Places) => void }[] = [];

  /**
   * Takes back by one message, or by none where there is nothing; `what` reads after "cannot". Both are made only when they are needed, which
   * is when a call fails.
   */
  addRequest(what: () => Attempt, place: Place, request: (connection: NetlinkConnection) => Request | undefined): void {
    const described = (): Attempt => {
      const [operation, object] = what();
      return [operation, `${object}${placeText(place)}`];
    };
    this.add(described, (places) => {
      const connection = places.connection(place);
      const message = request(connection);
      if (message === undefined) return;
      const outcome = connection.request(message);
      if (outcome.errno === 0 || refusedWith(outcome, ...gone)) return;
      throw new KernelError(described(), outcome);
    });
  }

  add(what: () => Attempt, action: (places: Places) => void): void {
    this.#steps.push({ what, action });
  }

  /** Runs the steps and forgets them. Throws `UndoError` that names every one that failed. */
  run(scene: Scene): void {
    const failures: CoreError[] = [];
    const places = new Places(scene);
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step.action(places);
      } catch (error) {
        failures.push(error instanceof CoreError ? error : new UnexpectedError(step.what(), error));
      }
    }
    places.close();
    if (failures.length > 0) throw new UndoError(failures);
  }
}

/** How the kernel says that what was to be deleted is not there: link, route, address, filter, qdisc. */
const gone = ["ENODEV", "ESRCH", "EADDRNOTAVAIL", "ENOENT"];
