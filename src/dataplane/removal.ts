/** Removes objects by name and owner (DEL, GC). A missing object is success. */
import { runEvery } from "../errors/run-every.ts";
import type { RemovedChain } from "../plan/iptables.ts";
import type { NftTable, RemovedElement } from "../plan/nft.ts";
import type { LinkUp, Rule } from "../plan/resource.ts";
import { collectPorts, type PortsCollection, type PortsRemoval, removePorts } from "./iptables/ports.ts";
import { removeRules } from "./kinds/rule.ts";
import { setLinkDown } from "./kinds/up.ts";
import { findVethEnds } from "./links/peer.ts";
import { type LinkRemoval, removeLink } from "./links/removal.ts";
import type { Namespaces } from "./namespaces.ts";
import { collectNft, type ElementCollection, removeNft } from "./nftables/remove.ts";

/** The sandbox's rules with this priority and table. */
interface RuleRemoval extends Pick<Rule, "kind" | "table" | "priority"> {
  /** The link of the table's routes. If it exists and its peer is none of these, the sandbox is another attachment's and keeps its rules. */
  readonly link: string;
  readonly hostEnds: readonly string[];
}

/** An owner's nf_tables elements; tables that are then unused are removed too. */
interface ElementRemoval {
  readonly kind: "nft-elements";
  readonly tables: readonly NftTable[];
}

/** An object to remove. */
export type Removal = LinkRemoval | Pick<LinkUp, "kind" | "at" | "link"> | RuleRemoval | ElementRemoval | PortsRemoval;

/** What many owners have objects in. */
export type Collection = ElementCollection | PortsCollection;

/** A removed object. */
export type Removed = RemovedElement | RemovedChain;

/** Tries every removal and throws all failures. Returns the removed elements and chains. */
export function removeAll(owner: string, removals: readonly Removal[], namespaces: Namespaces): readonly Removed[] {
  const removed: Removed[] = [];
  runEvery(removals.map((removal) => () => void removed.push(...removeOne(owner, removal, namespaces))));
  return removed;
}

function removeOne(owner: string, removal: Removal, namespaces: Namespaces): readonly Removed[] {
  switch (removal.kind) {
    case "link":
      removeLink(owner, removal, namespaces);
      return [];
    case "up":
      setLinkDown(namespaces, removal, owner);
      return [];
    case "rule":
      removeRules(namespaces, removal, () => {
        const ends = findVethEnds(namespaces, removal.link);
        return ends === undefined || removal.hostEnds.includes(ends.host?.name ?? "");
      });
      return [];
    case "nft-elements":
      return removeNft(removal.tables, owner, namespaces.sys);
    case "iptables-ports":
      return removePorts(removal, namespaces.sys);
  }
}

/** Removes the objects of stale owners. Returns the removed elements or chains. */
export function collect(collection: Collection, { sys }: Namespaces): readonly Removed[] {
  return collection.kind === "nft-elements" ? collectNft(collection, sys) : collectPorts(collection, sys);
}
