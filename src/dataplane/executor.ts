/**
 * The executor: what plugins do with the kernel, in five verbs.
 *
 *     apply(plan)          makes the kernel hold the plan's resources (ADD)
 *     diff(plan)           returns the resources that are missing or different in the kernel (CHECK)
 *     remove(owner, what)  removes objects of one owner (DEL), of a network's stale owners (GC), or without an owner
 *     list(what)           returns objects with their owners
 *     show(plan)           prints the plan as commands; it needs no kernel (`src/plan/show.ts`)
 *
 * What a plan depends on is read by `NodeFacts`. Connections are opened on first use; `withExecutor` closes them.
 */

import type { Netns, Sys } from "../host/sys.ts";
import type { FoundElement } from "../plan/nft.ts";
import type { Difference, Plan } from "../plan/resource.ts";
import { type Applied, apply } from "./apply.ts";
import type { ApplyOptions } from "./apply-run.ts";
import { removeStale, type StaleOwners, type StaleRemoval } from "./collection.ts";
import { diff } from "./diff.ts";
import { type LinkListing, listLinks, type OwnedLink } from "./links/removal.ts";
import { Namespaces } from "./namespaces.ts";
import { type ElementListing, listElements } from "./nftables/holders.ts";
import { NodeFacts } from "./node-facts.ts";
import { type Removal, type Removed, removeAll } from "./removal.ts";

export type { Removal, Removed, StaleOwners, StaleRemoval };

/** The owner, for `remove`, of what has none: objects that attachments share, flows, links whose ADD was killed before it wrote the alias. */
export const unowned = "";

export class Executor {
  readonly #namespaces: Namespaces;

  /** `namespaces`: those of `withExecutor`. Without them it works on the host, and leaves a connection open for links, routes and rules. */
  constructor(sys: Sys, namespaces = new Namespaces(sys)) {
    this.#namespaces = namespaces;
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
   * Removes objects of one owner, or of those of a network that are stale. Tries everything and throws all failures. Missing objects are success;
   * objects of other owners are left alone. Returns the removed elements and chains.
   */
  remove(owner: string, what: readonly Removal[]): readonly Removed[];
  remove(owners: StaleOwners, what: readonly StaleRemoval[]): readonly Removed[];
  remove(owners: string | StaleOwners, what: readonly (Removal | StaleRemoval)[]): readonly Removed[] {
    return typeof owners === "string"
      ? removeAll(owners, what as readonly Removal[], this.#namespaces)
      : removeStale(owners, what as readonly StaleRemoval[], this.#namespaces);
  }

  /** The host's links of a kind, or the elements of a set. */
  list(what: LinkListing): readonly OwnedLink[];
  list(what: ElementListing): readonly FoundElement[];
  list(what: LinkListing | ElementListing): readonly OwnedLink[] | readonly FoundElement[] {
    return what.kind === "nft-elements" ? listElements(what, this.#namespaces.sys) : listLinks(what, this.#namespaces);
  }
}

/** Runs `body` with an executor and with the facts read over the same connections, and closes these. `sandbox`: absent if none exists or is needed. */
export function withExecutor<T>(
  sys: Sys,
  sandbox: Netns | undefined,
  body: (executor: Executor, facts: NodeFacts) => T,
): T {
  const namespaces = new Namespaces(sys, sandbox);
  try {
    return body(new Executor(sys, namespaces), new NodeFacts(sys, namespaces));
  } finally {
    namespaces.close();
  }
}
