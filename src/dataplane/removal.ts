/** Removes objects of one owner (DEL), and objects without an owner that nothing uses any longer. A missing object is success. */
import { runEvery } from "../errors/run-every.ts";
import type { IptablesPorts, RemovedChain } from "../plan/iptables.ts";
import type { NftTable, RemovedElement } from "../plan/nft.ts";
import type { LinkUp, Rule } from "../plan/resource.ts";
import type { PortHolders } from "./iptables/claims.ts";
import { makeRoom, type PortsRemoval, removePorts } from "./iptables/ports.ts";
import { removeBlackholes, type UnusedBlackholes } from "./kinds/blackhole.ts";
import { removeRules } from "./kinds/rule.ts";
import { removeSharedRules, type UnusedRules } from "./kinds/shared-rule.ts";
import { setLinkDown } from "./kinds/up.ts";
import { findVethEnds } from "./links/peer.ts";
import { type LinkRemoval, removeLink } from "./links/removal.ts";
import type { Namespaces } from "./namespaces.ts";
import { removeNft, removeNftTables } from "./nftables/remove.ts";
import { type FlowRemoval, removeFlows } from "./node/conntrack.ts";

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

/** The iptables chains of ended attachments that hold these ports, which another back end will map. Throws `IptablesConflict` naming a live holder. */
interface EndedPorts {
  readonly kind: "ended-ports";
  readonly ports: readonly IptablesPorts[];
  readonly holders: PortHolders;
}

/** Tables that go if `isUnused` and nothing has changed since. Their users must be recorded before they apply. */
interface UnusedTables {
  readonly kind: "nft-table";
  readonly tables: readonly Pick<NftTable, "family" | "name">[];
  readonly isUnused: () => boolean;
}

/**
 * What to remove. What attachments share goes while nothing wants it: there are no locks, so that is asked again after each change, and what has
 * become wanted meanwhile is put back.
 */
export type Removal =
  | LinkRemoval
  | Pick<LinkUp, "kind" | "at" | "link">
  | RuleRemoval
  | ElementRemoval
  | PortsRemoval
  | EndedPorts
  | FlowRemoval
  | UnusedTables
  | UnusedRules
  | UnusedBlackholes;

/** A removed object. */
export type Removed = RemovedElement | RemovedChain;

/** Tries every removal and throws all failures. Returns the removed elements and chains. */
export function removeAll(owner: string, removals: readonly Removal[], namespaces: Namespaces): readonly Removed[] {
  const removed: Removed[] = [];
  runEvery(removals.map((removal) => () => void removed.push(...removeOne(owner, removal, namespaces))));
  return removed;
}

function removeOne(owner: string, removal: Removal, namespaces: Namespaces): readonly Removed[] {
  const { sys } = namespaces;
  switch (removal.kind) {
    case "nft-elements":
      return removeNft(removal.tables, owner, sys);
    case "iptables-ports":
      return removePorts(removal, sys);
    case "ended-ports":
      return removal.ports.flatMap((ports) => makeRoom(ports, removal.holders, sys));
    case "link":
      removeLink(owner, removal, namespaces);
      break;
    case "up":
      setLinkDown(namespaces, removal, owner);
      break;
    case "rule":
      removeRules(namespaces, removal, () => {
        const ends = findVethEnds(namespaces, removal.link);
        return ends === undefined || removal.hostEnds.includes(ends.host?.name ?? "");
      });
      break;
    case "flows":
      removeFlows(removal, sys);
      break;
    case "nft-table":
      removeNftTables(removal.tables, removal.isUnused, sys);
      break;
    case "shared-rule":
      removeSharedRules(removal, namespaces.connection("host"));
      break;
    case "blackhole":
      removeBlackholes(removal, namespaces);
      break;
  }
  return [];
}
