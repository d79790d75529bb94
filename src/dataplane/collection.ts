/** Removes the objects of a network's stale owners (GC). A missing object is success. */
import { runEvery } from "../errors/run-every.ts";
import { collectPorts, type StalePorts } from "./iptables/ports.ts";
import { collectLinks, type StaleLinks } from "./links/collection.ts";
import type { Namespaces } from "./namespaces.ts";
import { collectNft, type StaleElements } from "./nftables/remove.ts";
import type { Removed } from "./removal.ts";
import type { StaleOwners } from "./stale-owners.ts";

export type { StaleOwners };

/** What many owners have objects in. */
export type StaleRemoval = StaleElements | StalePorts | StaleLinks;

/** Tries everything and throws all failures. Returns the removed elements and chains. */
export function removeStale(
  owners: StaleOwners,
  what: readonly StaleRemoval[],
  namespaces: Namespaces,
): readonly Removed[] {
  const removed: Removed[] = [];
  runEvery(what.map((one) => () => void removed.push(...removeOne(owners, one, namespaces))));
  return removed;
}

function removeOne(owners: StaleOwners, what: StaleRemoval, namespaces: Namespaces): readonly Removed[] {
  switch (what.kind) {
    case "nft-elements":
      return collectNft(what, owners, namespaces.sys);
    case "iptables-ports":
      return collectPorts(what, namespaces.sys);
    case "link":
      collectLinks(what, owners, namespaces);
      return [];
  }
}
