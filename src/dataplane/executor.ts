/**
 * The executor's interface: all that plugins import from this directory, apart from errors.
 *
 *     apply(plan)              makes the kernel hold the plan's resources (ADD)
 *     diff(plan)               lists the resources that are missing or different in the kernel (CHECK)
 *     remove(owner, what)      removes an owner's objects (DEL)
 *     list, collect, removeLinks   lists owners; removes the objects of stale owners (GC)
 *     follow                   keeps shared objects as long as they are wanted
 *     probe                    tests whether the kernel has the features that a plan needs (STATUS)
 *     node, link               reads facts about the node and its links
 *
 * Connections are opened on first use and closed by `close`.
 */

import type { CoreError } from "../errors/core-error.ts";
import type { Netns, Sys } from "../host/sys.ts";
import type { Family, TableFamily } from "../net/address.ts";
import type { Link } from "../netlink/link.ts";
import type { RuleEntry } from "../netlink/rule.ts";
import type { IptablesPorts, RemovedChain } from "../plan/iptables.ts";
import type { FoundElement, NftResource, NftTable } from "../plan/nft.ts";
import type { Difference, LinkKind, Place, Plan } from "../plan/resource.ts";
import { type Applied, apply } from "./apply.ts";
import type { ApplyOptions } from "./apply-run.ts";
import { diff } from "./diff.ts";
import type { PortHolders } from "./iptables/claims.ts";
import { makeRoom, probePorts } from "./iptables/ports.ts";
import { hasIptables, mayHaveNatChain } from "./iptables/programs.ts";
import { findLink } from "./kernel-state.ts";
import { followBlackholes } from "./kinds/blackhole.ts";
import { followRules, type RuleOwner } from "./kinds/shared-rule.ts";
import { findVethEnds, type VethEnds } from "./links/peer.ts";
import { listLinks, type OwnedLink, removeLinks, removeUnclaimed, type StaleLink } from "./links/removal.ts";
import type { LinkSignature } from "./links/signature.ts";
import { Namespaces } from "./namespaces.ts";
import { hasNftChains, hasNftTable, type NftChainName } from "./nftables/has.ts";
import { findHolders } from "./nftables/holders.ts";
import { moveWaitingIn, removeNftTables } from "./nftables/remove.ts";
import { Node } from "./node/node.ts";
import { probeLinks, probeQueues, probeTables } from "./probe.ts";
import { type Collection, collect, type Removal, type Removed, removeAll } from "./removal.ts";

export class Executor {
  readonly sys: Sys;
  /** Reads facts about the node. */
  readonly node: Node;
  readonly #namespaces: Namespaces;

  /** `sandbox`: absent if it no longer exists or none is needed. */
  constructor(sys: Sys, sandbox?: Netns) {
    this.sys = sys;
    this.#namespaces = new Namespaces(sys, sandbox);
    this.node = new Node(sys, () => this.#namespaces.connection("host"));
  }

  /** A repeated call is harmless. On failure it rolls back what it created, and throws an error that names the resource. */
  apply(plan: Plan, options?: ApplyOptions): Applied {
    return apply(plan, this.#namespaces, options);
  }

  /** In the order of the phases. Changes nothing. */
  diff(plan: Plan): readonly Difference[] {
    return diff(plan, this.#namespaces);
  }

  /**
   * Tries everything and throws all failures. Missing objects are success; objects of other owners are left alone. Returns the removed elements
   * and chains.
   */
  remove(owner: string, what: readonly Removal[]): readonly Removed[] {
    return removeAll(owner, what, this.#namespaces);
  }

  /** The host's links of a kind whose owner has this prefix. */
  list(kind: LinkKind, ownerPrefix: string): readonly OwnedLink[] {
    return listLinks(kind, ownerPrefix, this.#namespaces);
  }

  /**
   * Removes many links of the host, with one wait of the kernel's for all. Tries each, calls `onGone` for those that are gone, and throws all
   * failures. A missing link is success; a link of another owner is left alone.
   */
  removeLinks<L extends StaleLink>(links: readonly L[], onGone: (link: L) => void = () => {}): void {
    removeLinks(links, onGone, this.#namespaces);
  }

  /** Removes links with names of ours that still have no owner after a second: their ADD was killed before it wrote the alias. */
  removeUnclaimed(isOurName: (name: string) => boolean, signature: LinkSignature): void {
    removeUnclaimed(isOurName, signature, this.#namespaces);
  }

  /** Removes the objects of stale owners. Returns the removed elements or chains. */
  collect(what: Collection): readonly Removed[] {
    return collect(what, this.#namespaces);
  }

  /** For ports that another back end will map: removes chains of ended attachments. Throws `IptablesConflict` naming a live holder. */
  makeRoom(ports: IptablesPorts, holders: PortHolders): readonly RemovedChain[] {
    return makeRoom(ports, holders, this.sys);
  }

  /** Removes shared tables if `isUnused` and nothing has changed since. Attachments must be recorded before they apply. */
  removeTables(tables: readonly Pick<NftTable, "family" | "name">[], isUnused: () => boolean): void {
    removeNftTables(tables, isUnused, this.sys);
  }

  /** Changes the host's shared policy rules to those that are `wanted`, which is called again after each change. */
  followRules(rules: RuleOwner, wanted: (found: readonly RuleEntry[]) => readonly RuleEntry[]): void {
    followRules(this.sys, rules, wanted);
  }

  /** Adds or removes the blackhole route of each range until `isWanted` is the same before and after; `undefined` leaves it. */
  followBlackholes(
    protocol: number,
    ranges: readonly string[],
    isWanted: (range: string) => boolean | undefined,
  ): void {
    followBlackholes(this.sys, protocol, ranges, isWanted);
  }

  /** Moves waiting elements to keys that have become free. */
  moveWaiting(tables: readonly NftTable[]): void {
    moveWaitingIn(tables, this.sys);
  }

  /** Throws an error that names the first missing kind and its module. */
  probeLinks(kinds: readonly LinkKind[]): void {
    probeLinks(this.sys, kinds);
  }

  probeQueues(): void {
    probeQueues(this.sys);
  }

  /** Why the kernel cannot create the tables, per family; empty if it can. `modules`: what they need. */
  probeTables(resources: readonly NftResource[], modules: readonly string[]): ReadonlyMap<TableFamily, CoreError> {
    return probeTables(this.sys, resources, modules);
  }

  /** Throws an error with the reason why the ports could not be mapped. */
  probePorts(ports: IptablesPorts): void {
    probePorts(ports, this.sys);
  }

  /** Whether the programs of iptables are installed. */
  hasIptables(family: TableFamily): boolean {
    return hasIptables(family, this.sys);
  }

  /** Whether the family's nat table may have this chain, without running a program. */
  mayHaveNatChain(family: TableFamily, chain: string): boolean {
    return mayHaveNatChain(family, chain, this.sys);
  }

  /** The link with this name; `undefined` if there is none. `apply` does not read it again. */
  link(place: Place, name: string): Link | undefined {
    const found = findLink(this.#namespaces.connection(place), name);
    if (found !== undefined) this.#namespaces.learn(place, found);
    return found;
  }

  /** The addresses of a link, with their prefix lengths. */
  addresses(place: Place, index: number, family: Family): readonly string[] {
    const all = this.#namespaces.state(place).addresses(family);
    return all.filter((one) => one.index === index).map(({ address }) => address);
  }

  /** The two ends of a veth, found from the sandbox's; `undefined` if the sandbox has no link with that name. */
  vethEnds(ifname: string): VethEnds | undefined {
    return findVethEnds(this.#namespaces, ifname);
  }

  /** Whether one of the tables exists. */
  hasTable(tables: readonly NftTable[]): boolean {
    return hasNftTable(tables, this.sys);
  }

  /** Whether each chain exists, with any owner. */
  hasChains(chains: readonly NftChainName[]): readonly boolean[] {
    return hasNftChains(chains, this.sys);
  }

  /** The elements with these keys, with their owners; without `keys` all elements. */
  holders(table: NftTable, set: string, keys?: readonly (readonly string[])[]): readonly FoundElement[] {
    return findHolders(table, set, keys, this.sys);
  }

  close(): void {
    this.#namespaces.close();
  }
}

/** Runs `body` with an executor and closes its connections. */
export function withExecutor<T>(sys: Sys, sandbox: Netns | undefined, body: (executor: Executor) => T): T {
  const executor = new Executor(sys, sandbox);
  try {
    return body(executor);
  } finally {
    executor.close();
  }
}
