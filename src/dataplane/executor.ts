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
import type { IptablesPorts, RemovedChain } from "../plan/iptables.ts";
import type { FoundElement, NftResource, NftTable } from "../plan/nft.ts";
import type { Difference, LinkKind, Place, Plan } from "../plan/resource.ts";
import { type Applied, apply } from "./apply.ts";
import type { ApplyOptions } from "./apply-run.ts";
import { diff } from "./diff.ts";
import { follow, type Shared } from "./follow.ts";
import type { PortHolders } from "./iptables/claims.ts";
import { makeRoom } from "./iptables/ports.ts";
import { findLink } from "./kernel-state.ts";
import { findVethEnds, type VethEnds } from "./links/peer.ts";
import { listLinks, type OwnedLink, removeLinks, removeUnclaimed, type StaleLink } from "./links/removal.ts";
import type { LinkSignature } from "./links/signature.ts";
import { Namespaces } from "./namespaces.ts";
import { hasNft, type NftName } from "./nftables/has.ts";
import { findHolders } from "./nftables/holders.ts";
import { Node } from "./node/node.ts";
import { type Probe, probe, probeTables } from "./probe.ts";
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

  /** Keeps shared objects as long as they are wanted. */
  follow(shared: Shared): void {
    follow(shared, this.sys);
  }

  /** Throws an error that names the first missing feature, and its module. */
  probe(what: Probe): void {
    probe(what, this.sys);
  }

  /** Why the kernel cannot create the tables, per family; empty if it can. `modules`: what they need. */
  probeTables(resources: readonly NftResource[], modules: readonly string[]): ReadonlyMap<TableFamily, CoreError> {
    return probeTables(this.sys, resources, modules);
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

  /** Whether each nf_tables object exists, with any owner. */
  has(objects: readonly NftName[]): readonly boolean[] {
    return hasNft(objects, this.sys);
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
