/** Removes the host's links of a network's stale owners (GC). */
import { runEvery } from "../../errors/run-every.ts";
import type { Link } from "../../netlink/link.ts";
import type { LinkKind } from "../../plan/resource.ts";
import type { Namespaces } from "../namespaces.ts";
import type { StaleOwners } from "../stale-owners.ts";
import { deleteTogether, hostLinks } from "./group.ts";
import { deleteOne, listLinks, type OwnedLink, removeLinks, type StaleLink } from "./removal.ts";
import { isUnclaimed, type LinkSignature } from "./signature.ts";

/** Links of one kind. */
export interface StaleLinks {
  readonly kind: "link";
  readonly of: LinkKind;
  /** Whether the plugin may have created a link with this name: other plugins of the network own links of the kind too. Absent: it owns all. */
  readonly isOurName?: (name: string) => boolean;
  /** Removes also links with such a name and this signature that still have no owner after a second: their ADD was killed before it wrote the alias. */
  readonly signature?: LinkSignature;
  /** Stale owners' links that were recorded: with their signature they are found without an alias. */
  readonly recorded?: readonly StaleLink[];
  /** Called for each link that is gone. */
  readonly onGone?: (link: OwnedLink) => void;
}

/** Throws all failures. */
export function collectLinks(links: StaleLinks, owners: StaleOwners, namespaces: Namespaces): void {
  const { of, isOurName = () => true, signature, recorded = [], onGone = () => {} } = links;
  const known = new Set(recorded.map(({ owner }) => owner));
  runEvery([
    () => {
      const unrecorded = listLinks({ kind: of, ownerPrefix: owners.prefix }, namespaces).filter(
        ({ name, owner }) => isOurName(name) && !owners.except.has(owner) && !known.has(owner),
      );
      removeLinks([...recorded, ...unrecorded], onGone, namespaces);
    },
    () => signature && removeUnclaimed(isOurName, signature, namespaces),
  ]);
}

/** More than the time between creating a link and writing its alias, even on a busy machine. */
const claimMs = 1000;

/**
 * Deletes links on the host whose ADD was killed before it wrote the alias: they have a name of ours, our signature, and are down. For links
 * without a record. Checks each link twice, because its ADD may still be running.
 */
function removeUnclaimed(isOurName: (name: string) => boolean, signature: LinkSignature, namespaces: Namespaces): void {
  const isSuspect = (link: Link) => isOurName(link.name) && !link.up && isUnclaimed(link, signature);
  const suspects = new Set(
    hostLinks(namespaces)
      .filter(isSuspect)
      .map(({ index }) => index),
  );
  if (suspects.size === 0) return;
  namespaces.sys.sleepMs(claimMs);
  const isAbandoned = (link: Link) => suspects.has(link.index) && isSuspect(link);
  if (suspects.size > 1) deleteTogether(isAbandoned, namespaces);
  for (const link of hostLinks(namespaces)) if (isAbandoned(link)) deleteOne("host", link, namespaces);
}
