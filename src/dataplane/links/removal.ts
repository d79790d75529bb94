/** Removes links by name and owner. A missing link is success; a link of another owner is left alone. */
import { runEvery } from "../../errors/run-every.ts";
import { deleteLink, type Link } from "../../netlink/link.ts";
import type { LinkKind, Place } from "../../plan/resource.ts";
import { hasErrno, KernelError } from "../errors.ts";
import { findLink } from "../kernel-state.ts";
import { type Namespaces, placeText } from "../namespaces.ts";
import { deleteTogether, hostLinks } from "./group.ts";
import { isUnclaimed, type LinkSignature } from "./signature.ts";

/** A link by its name; its peer and everything that depends on them are removed with it. */
export interface LinkRemoval {
  readonly kind: "link";
  readonly at: Place;
  readonly name: string;
  /** For names unique to the owner: a link without an alias but with this signature is a leftover of the owner's killed ADD. */
  readonly signature?: LinkSignature;
}

export interface OwnedLink {
  readonly name: string;
  readonly owner: string;
}

/** One of many links of the host to remove. */
export interface StaleLink extends OwnedLink, Pick<LinkRemoval, "signature"> {}

export function removeLink(owner: string, removal: LinkRemoval, namespaces: Namespaces): void {
  const found = findLink(namespaces.connection(removal.at), removal.name);
  if (found !== undefined && isOwn(found, owner, removal.signature)) deleteOne(removal.at, found, namespaces);
}

/** Removes many links of the host, with one wait of the kernel's for all. Tries each, calls `onGone` for those that are gone, and throws all failures. */
export function removeLinks(
  links: readonly StaleLink[],
  onGone: (link: OwnedLink) => void,
  namespaces: Namespaces,
): void {
  // Sandboxes that had the name one after another all claim it.
  const byName = new Map<string, StaleLink[]>();
  for (const link of links) byName.set(link.name, [...(byName.get(link.name) ?? []), link]);
  const isStale = (found: Link) =>
    byName.get(found.name)?.some(({ owner, signature }) => isOwn(found, owner, signature)) === true;
  if (links.length > 1) deleteTogether(isStale, namespaces);
  const left = new Map(
    hostLinks(namespaces)
      .filter(isStale)
      .map((found) => [found.name, found]),
  );
  runEvery(
    links.map((link) => () => {
      const found = left.get(link.name);
      if (found !== undefined) deleteOne("host", found, namespaces);
      onGone(link);
    }),
  );
}

/** The host's links of a kind: by the beginning of their alias, or those without an alias that have the signature. */
export type LinkListing =
  | { readonly kind: LinkKind; readonly ownerPrefix: string }
  | { readonly kind: LinkKind; readonly unowned: LinkSignature };

export function listLinks(what: LinkListing, namespaces: Namespaces): readonly OwnedLink[] {
  const isListed = (link: Link) =>
    "unowned" in what ? isUnclaimed(link, what.unowned) : link.alias?.startsWith(what.ownerPrefix) === true;
  return hostLinks(namespaces)
    .filter((link) => link.kind === what.kind && isListed(link))
    .map(({ name, alias = "" }) => ({ name, owner: alias }));
}

function isOwn(found: Link, owner: string, signature: LinkSignature | undefined): boolean {
  return found.alias === owner || (signature !== undefined && isUnclaimed(found, signature));
}

export function deleteOne(at: Place, { index, name }: Link, namespaces: Namespaces): void {
  // By index, because the name may be reused between the two messages.
  const outcome = namespaces.connection(at).request(deleteLink(index));
  if (outcome.errno === 0 || hasErrno(outcome, "ENODEV")) return;
  throw new KernelError(["delete", `link "${name}"${placeText(at)}`], outcome);
}
