/** A link that is there already, like a sandbox's `lo`: whoever raises it puts the owner on it, and nobody else sets it down. */
import { setLink } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import { KernelError, refusedWith } from "./errors.ts";
import { type Places, placeText } from "./places.ts";
import { findLink } from "./view.ts";

interface Claim {
  readonly place: Place;
  readonly name: string;
  /** The link's alias while it is up. */
  readonly owner: string;
}

/** Sets a link up and claims it, in one message. Throws `KernelError` when the kernel refuses. */
export function raiseLink(places: Places, { place, name, owner }: Claim): void {
  const outcome = places.connection(place).request(setLink(name, { up: true, alias: owner }));
  if (outcome.errno !== 0) throw new KernelError(["set", `link ${name} up${placeText(place)}`], outcome);
}

/**
 * Sets a link down that `raiseLink` set up for the same owner, and leaves any other. That it is not there is no error. Throws `KernelError`
 * when the kernel refuses.
 */
export function lowerLink(places: Places, { place, name, owner }: Claim): void {
  const connection = places.connection(place);
  const found = findLink(connection, name);
  if (found?.alias !== owner) return;
  const outcome = connection.request(setLink(found.index, { up: false, alias: "" }));
  if (outcome.errno === 0 || refusedWith(outcome, "ENODEV")) return;
  throw new KernelError(["set", `link ${name} down${placeText(place)}`], outcome);
}
