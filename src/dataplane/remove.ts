/** Removes by name and owner (DEL), and lists what has an owner (GC). */
import { deleteLink, dumpLinks, readLink } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import type { Scene } from "./dataplane.ts";
import { KernelError, refusedWith } from "./errors.ts";
import { type Born, isUnclaimed } from "./links/unclaimed.ts";
import { Places, placeText } from "./places.ts";
import { findLink } from "./view.ts";

export interface OwnedLink {
  readonly name: string;
  readonly owner: string;
  /** `veth`, `ifb`, … */
  readonly kind: string | undefined;
}

export interface LinkToRemove {
  readonly place: Place;
  readonly name: string;
  readonly owner: string;
  /** What the link was born with, where its name is the owner's alone: then one without an alias counts as the owner's. */
  readonly born?: Born;
}

/**
 * Deletes a link whose alias is `owner`, and a veth's other end with it. Returns whether it did: a link that is absent, or another's, is
 * left and is no error.
 */
export function removeLink(scene: Scene, { place, name, owner, born }: LinkToRemove): boolean {
  const places = new Places(scene);
  try {
    const connection = places.connection(place);
    const found = findLink(connection, name);
    if (found === undefined) return false;
    if (found.alias !== owner && !(born !== undefined && isUnclaimed(found, born))) return false;
    // By index: between the two messages the name may come to be another's.
    const outcome = connection.request(deleteLink(found.index));
    if (refusedWith(outcome, "ENODEV")) return false;
    if (outcome.errno !== 0) throw new KernelError(["delete", `link "${name}"${placeText(place)}`], outcome);
    return true;
  } finally {
    places.close();
  }
}

/** Longer than a maker of links needs, however busy the machine is, between making one and claiming it. */
const claimMs = 1000;

/**
 * Deletes the host's links whose makers were killed before they could claim them: they bear a name of ours, were born as ours are, and are
 * down, as only such a link is. For names that no record tells. Each is looked at twice: its maker may be alive.
 */
export function removeUnclaimed({ sys }: Scene, isOurName: (name: string) => boolean, born: Born): void {
  const places = new Places({ sys });
  try {
    const connection = places.connection("host");
    const find = () =>
      connection
        .dump(dumpLinks(), ["list", "links"])
        .map(readLink)
        .filter((link) => isOurName(link.name) && !link.up && isUnclaimed(link, born));
    const suspects = new Set(find().map(({ index }) => index));
    if (suspects.size === 0) return;
    sys.sleepMs(claimMs);
    for (const { index, name } of find()) {
      if (!suspects.has(index)) continue;
      const outcome = connection.request(deleteLink(index));
      if (outcome.errno !== 0 && !refusedWith(outcome, "ENODEV"))
        throw new KernelError(["delete", `link "${name}" on the host`], outcome);
    }
  } finally {
    places.close();
  }
}

/** The host's links whose alias begins with `ownerPrefix`. */
export function listOwnedLinks(scene: Scene, ownerPrefix: string): readonly OwnedLink[] {
  const places = new Places(scene);
  try {
    return places
      .connection("host")
      .dump(dumpLinks(), ["list", "links"])
      .map(readLink)
      .flatMap(({ name, alias, kind }) => (alias?.startsWith(ownerPrefix) ? [{ name, owner: alias, kind }] : []));
  } finally {
    places.close();
  }
}
