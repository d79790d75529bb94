/**
 * Metrics of addresses, by the names and labels that Calico's kube-controllers gives them. Each agent tells those of its own node, and the one
 * with the cluster's lease also those of the pools: a sum over all agents is the cluster's.
 */
import { isBlock } from "../../ipam/model/block.ts";
import type { Pool } from "../../ipam/model/pool.ts";
import { addressCount, contains } from "../../net/prefix.ts";
import type { StoredObject } from "../../store/object.ts";
import type { Metrics, Readings } from "../metrics.ts";
import { type Held, type Holding, heldIn } from "./holding.ts";

export interface IpamFacts {
  readonly node: string;
  ownBlocks(): readonly StoredObject[];
  pools(): readonly Pool[];
  /** What this node holds in blocks of other nodes. */
  borrowed(): readonly Held[];
  candidates(): readonly Holding[];
  /** Whether this agent has the cluster's lease. */
  isElected(): boolean;
}

/** Returns a function that counts released leaks. */
export function addIpamMetrics(metrics: Metrics, facts: IpamFacts): (holding: Holding) => void {
  const { node } = facts;
  const poolOf = (block: string) => facts.pools().find(({ cidr }) => contains(cidr, block))?.name ?? "no_ippool";
  const byPool = (blocks: readonly string[]): Readings => {
    const counts = new Map<string, number>();
    for (const pool of blocks.map(poolOf)) counts.set(pool, (counts.get(pool) ?? 0) + 1);
    return [...counts].map(([ippool, count]) => [{ ippool, node }, count]);
  };
  const own = () => facts.ownBlocks().filter(isBlock);
  const gauge = (name: string, help: string, read: () => Readings) => metrics.readings(name, "gauge", help, read);

  gauge("ipam_blocks", "Blocks of the node.", () => byPool(own().map(({ spec }) => spec.cidr)));
  gauge("ipam_allocations_in_use", "Addresses that the node holds.", () => {
    const held = [...own().flatMap(heldIn), ...facts.borrowed()].filter((one) => one.node === node);
    return byPool(held.map(({ block }) => block));
  });
  gauge("ipam_allocations_borrowed", "Addresses that the node holds in blocks of other nodes.", () =>
    byPool(facts.borrowed().map(({ block }) => block)),
  );
  gauge("ipam_allocations_gc_candidates", "Addresses of the node that look like leaks.", () =>
    byPool(facts.candidates().flatMap(({ addresses }) => addresses.map(({ block }) => block))),
  );
  gauge("ipam_ippool_size", "Addresses of the pool.", () =>
    facts.isElected() ? facts.pools().map(({ name, cidr }) => [{ ippool: name }, Number(addressCount(cidr))]) : [],
  );
  const reclaim = metrics.counter("ipam_allocations_gc_reclamations", "Leaked addresses that were released.");
  return ({ addresses }) => {
    for (const { block, node: holder = "" } of addresses) reclaim({ ippool: poolOf(block), node: holder });
  };
}
