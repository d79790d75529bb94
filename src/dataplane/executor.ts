/**
 * The executor's face, and all that a plugin imports of this directory beside its errors.
 *
 *     apply(plan)              the kernel holds what the plan says (ADD)
 *     diff(plan)               what the plan says and the kernel does not hold (CHECK)
 *     remove(owner, what)      an owner's objects go (DEL)
 *     list, collect            who has objects; those of owners that are gone go (GC)
 *     follow                   what attachments share is as long as it is wanted
 *     probe                    whether the kernel has what a plan needs (STATUS)
 *     node, link               what it tells of the node and of links, for those who plan
 *
 * Connections are opened when they are first needed, and end with `close`.
 */

import type { CoreError } from "../errors/core-error.ts";
import type { Netns, Sys } from "../host/sys.ts";
import type { Family } from "../net/address.ts";
import type { Link } from "../netlink/link.ts";
import type { RuleEntry } from "../netlink/rule.ts";
import type { IptablesLayout, IptablesPorts, RemovedChain } from "../plan/iptables.ts";
import type { FoundElement, NftFamily, NftResource, NftTable, RemovedElement } from "../plan/nft.ts";
import type { Difference, LinkKind, Place, Plan } from "../plan/resource.ts";
import { type Applied, apply } from "./apply.ts";
import type { ApplyOptions } from "./apply-run.ts";
import { diff } from "./diff.ts";
import type { PortHolders } from "./iptables/claims.ts";
import { collectPorts, makeRoom, probePorts } from "./iptables/ports.ts";
import { hasIptables, mayHaveNatChain } from "./iptables/programs.ts";
import { findLink } from "./kernel-state.ts";
import { followBlackholes } from "./kinds/blackhole.ts";
import { followRules, type RuleOwner } from "./kinds/shared-rule.ts";
import { findVethEnds, type VethEnds } from "./links/peer.ts";
import type { LinkSignature } from "./links/signature.ts";
import { Namespaces } from "./namespaces.ts";
import { hasNftChains, hasNftTable, type NftChainName } from "./nftables/has.ts";
import { findHolders } from "./nftables/holders.ts";
import { collectNft, moveWaitingIn, removeNftTable } from "./nftables/remove.ts";
import { Node } from "./node/node.ts";
import { probeLinks, probeQueues, probeTables } from "./probe.ts";
import { listLinks, type OwnedLink, type Removal, type Removed, removeAll, removeUnclaimed } from "./removal.ts";

export class Executor {
  readonly sys: Sys;
  /** What tells of the node. */
  readonly node: Node;
  readonly #namespaces: Namespaces;

  /** `sandbox`: absent where it is gone or none is needed. */
  constructor(sys: Sys, sandbox?: Netns) {
    this.sys = sys;
    this.node = new Node(sys);
    this.#namespaces = new Namespaces(sys, sandbox);
  }

  /** A repeated call is harmless. Throws an error that names the resource, and takes back what it created before that. */
  apply(plan: Plan, options?: ApplyOptions): Applied {
    return apply(plan, this.#namespaces, options);
  }

  /** In the order of the phases. Changes nothing. */
  diff(plan: Plan): readonly Difference[] {
    return diff(plan, this.#namespaces);
  }

  /**
   * Tries everything and throws what failed; what is not there, or another's, is left and is no error. Returns the elements and chains that are
   * gone, as they were.
   */
  remove(owner: string, what: readonly Removal[]): readonly Removed[] {
    return removeAll(owner, what, this.#namespaces);
  }

  /** The host's links of a kind whose owner begins so. */
  list(kind: LinkKind, ownerPrefix: string): readonly OwnedLink[] {
    return listLinks(kind, ownerPrefix, this.#namespaces);
  }

  /** Removes links under names of ours whose makers were killed before they could write the owner on them. Looks twice, a second apart. */
  removeUnclaimed(isOurName: (name: string) => boolean, signature: LinkSignature): void {
    removeUnclaimed(isOurName, signature, this.#namespaces);
  }

  /** Removes the elements of owners of whom `isStale` says so. Returns them as they were. */
  collect(
    tables: readonly NftTable[],
    isStale: (owner: { readonly comment: string; readonly setName: string }) => boolean,
  ): readonly RemovedElement[] {
    return collectNft(tables, isStale, this.sys);
  }

  /** Removes the chains of iptables of which `isStale` says so, by the rule that leads into each. Returns them as they were. */
  collectPorts(layout: IptablesLayout, isStale: (entry: string, chain: string) => boolean): readonly RemovedChain[] {
    return collectPorts(layout, isStale, this.sys);
  }

  /** For ports that are to be elsewhere: removes the chains of those who have ended. Throws `IptablesConflict` when another has one. */
  makeRoom(ports: IptablesPorts, holders: PortHolders): readonly RemovedChain[] {
    return makeRoom(ports, holders, this.sys);
  }

  /** Removes a table that attachments share when `isUnused` says so and nothing has changed since. They tell of themselves before they apply. */
  removeTable(table: Pick<NftTable, "family" | "name">, isUnused: () => boolean): void {
    removeNftTable(table, isUnused, this.sys);
  }

  /** Makes the host's rules that attachments share those that are wanted, asked again after each change. */
  followRules(rules: RuleOwner, wanted: (found: readonly RuleEntry[]) => readonly RuleEntry[]): void {
    followRules(this.sys, rules, wanted);
  }

  /** Adds or removes the route at which each range ends, until `isWanted` says the same before and after; `undefined`: it is left as it is. */
  followBlackholes(
    protocol: number,
    ranges: readonly string[],
    isWanted: (range: string) => boolean | undefined,
  ): void {
    followBlackholes(this.sys, protocol, ranges, isWanted);
  }

  /** Elements whose keys were taken move to those that are free by now. */
  moveWaiting(tables: readonly NftTable[]): void {
    moveWaitingIn(tables, this.sys);
  }

  /** Throws an error that names the first kind that the kernel lacks, and its module. */
  probeLinks(kinds: readonly LinkKind[]): void {
    probeLinks(this.sys, kinds);
  }

  probeQueues(): void {
    probeQueues(this.sys);
  }

  /** What keeps the kernel from making the tables, for each family. `modules`: what they need. */
  probeTables(resources: readonly NftResource[], modules: readonly string[]): ReadonlyMap<NftFamily, CoreError> {
    return probeTables(this.sys, resources, modules);
  }

  /** Throws an error that says why the ports could not be mapped. */
  probePorts(ports: IptablesPorts): void {
    probePorts(ports, this.sys);
  }

  /** Whether the programs of iptables are installed. */
  hasIptables(family: NftFamily): boolean {
    return hasIptables(family, this.sys);
  }

  /** Whether the family's nat table may have this chain, without running a program. */
  mayHaveNatChain(family: NftFamily, chain: string): boolean {
    return mayHaveNatChain(family, chain, this.sys);
  }

  /** By name; `undefined` when there is none. `apply` need not look for it again. */
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

  /** The two ends of a veth, found from the sandbox's; `undefined` when the sandbox has no link of that name. */
  vethEnds(ifname: string): VethEnds | undefined {
    return findVethEnds(this.#namespaces, ifname);
  }

  /** Whether one of the tables is there. */
  hasTable(tables: readonly NftTable[]): boolean {
    return hasNftTable(tables, this.sys);
  }

  /** Whether each chain is there, whosever it is. */
  hasChains(chains: readonly NftChainName[]): readonly boolean[] {
    return hasNftChains(chains, this.sys);
  }

  /** Who has these keys of a map; all of its keys where none are given. */
  holders(table: NftTable, set: string, keys?: readonly (readonly string[])[]): readonly FoundElement[] {
    return findHolders(table, set, keys, this.sys);
  }

  close(): void {
    this.#namespaces.close();
  }
}

/** Several steps over the same connections, which end with `body`. */
export function withExecutor<T>(sys: Sys, sandbox: Netns | undefined, body: (executor: Executor) => T): T {
  const executor = new Executor(sys, sandbox);
  try {
    return body(executor);
  } finally {
    executor.close();
  }
}
