/** What a call created in the kernel, and how to take it back: last first, all of it, whatever fails. */
import { CniError, code } from "../cni/error.ts";
import type { Request } from "../netlink/message.ts";
import type { Place } from "../plan/resource.ts";
import type { NetlinkConnection } from "./connection.ts";
import type { Scene } from "./dataplane.ts";
import { Places, placeText } from "./places.ts";
import { refusal, refusedWith } from "./refusal.ts";

export class UndoList {
  readonly #steps: { readonly what: () => string; readonly action: (places: Places) => void }[] = [];

  /**
   * Takes back by one message, or by none where there is nothing; `what` reads after "cannot". Both are made only when they are needed, which
   * is when a call fails.
   */
  addRequest(what: () => string, place: Place, request: (connection: NetlinkConnection) => Request | undefined): void {
    const described = () => `${what()}${placeText(place)}`;
    this.add(described, (places) => {
      const connection = places.connection(place);
      const message = request(connection);
      if (message === undefined) return;
      const outcome = connection.request(message);
      if (outcome.errno === 0 || refusedWith(outcome, ...gone)) return;
      throw refusal(described(), outcome);
    });
  }

  add(what: () => string, action: (places: Places) => void): void {
    this.#steps.push({ what, action });
  }

  /** Runs the steps and forgets them. Throws `CniError` 100 that names every one that failed. */
  run(scene: Scene): void {
    const failures: string[] = [];
    const places = new Places(scene);
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step.action(places);
      } catch (error) {
        failures.push(error instanceof CniError ? error.message : `cannot ${step.what()}: ${error}`);
      }
    }
    places.close();
    if (failures.length > 0) throw new CniError(code.refused, failures.join("; "));
  }
}

/** How the kernel says that what was to be deleted is not there: link, route, address, filter, qdisc. */
const gone = ["ENODEV", "ESRCH", "EADDRNOTAVAIL", "ENOENT"];
