/** Removes by name and owner (DEL), and lists what has an owner (GC). */
import { deleteLink, dumpLinks, readLink } from "../netlink/link.ts";
import type { Place } from "../plan/resource.ts";
import type { Scene } from "./dataplane.ts";
import { Places, placeText } from "./places.ts";
import { refusal, refusedWith } from "./refusal.ts";
import { findLink } from "./view.ts";

export interface OwnedLink {
  readonly name: string;
  readonly owner: string;
  /** `veth`, `ifb`, … */
  readonly kind: string | undefined;
}

/**
 * Deletes a link whose alias is `owner`, and a veth's other end with it. Returns whether it did: a link that is absent, or another's, is
 * left and is no error.
 */
export function removeLink(
  scene: Scene,
  { place, name, owner }: { readonly place: Place; readonly name: string; readonly owner: string },
): boolean {
  const places = new Places(scene);
  try {
    const conversation = places.conversation(place);
    const found = findLink(conversation, name);
    if (found === undefined || found.alias !== owner) return false;
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
