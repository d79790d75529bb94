/** Removes by name and owner (DEL), and lists what has an owner (GC). */
import { deleteLink, dumpLinks, readLink } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import type { Scene } from "./dataplane.ts";
import { Places, placeText } from "./places.ts";
import { refusal, refusedWith } from "./refusal.ts";
import { type Born, isUnclaimed } from "./unclaimed.ts";
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
    const conversation = places.conversation(place);
    const found = findLink(conversation, name);
    if (found === undefined) return false;
    if (found.alias !== owner && !(born !== undefined && isUnclaimed(found, born))) return false;
    // By index: between the two messages the name may come to be another's.
    const outcome = conversation.request(deleteLink(found.index));
    if (refusedWith(outcome, "ENODEV")) return false;
    if (outcome.errno !== 0) throw refusal(`delete link "${name}"${placeText(place)}`, outcome);
    return true;
  } finally {
    places.close();
  }
}

/** The host's links whose alias begins with `ownerPrefix`. */
export function listOwnedLinks(scene: Scene, ownerPrefix: string): readonly OwnedLink[] {
  const places = new Places(scene);
  try {
    return places
      .conversation("host")
      .dump(dumpLinks(), "list links")
      .map(readLink)
      .flatMap(({ name, alias, kind }) => (alias?.startsWith(ownerPrefix) ? [{ name, owner: alias, kind }] : []));
  } finally {
    places.close();
  }
}
