/**
 * The node's blocks: the node drops packets to addresses of its blocks that no pod has, as Calico does.
 *
 *     10.65.0.0/26   blackhole, protocol 80         one per block, whatever the number of pods
 *     10.65.0.5/32   dev cali…                      narrower: a pod's own
 *
 * Without it such a packet would take the default route and loop between the node and a router that knows the block's node. A block of one
 * address has no such route, because it would conflict with the pod's. Nor has a block in a network of the node, where other hosts have addresses.
 *
 * **A block's route exists while the node owns the block and an address of it is assigned. There is no lock**: ADD assigns its address and then
 * adds the route; DEL releases its address, removes the route of an empty block, and looks again. In either order, one of the two sees the
 * other's change.
 */
import { type Executor, unowned, withExecutor } from "../../src/dataplane/executor.ts";
import type { NodeFacts } from "../../src/dataplane/node-facts.ts";
import type { Sys } from "../../src/host/sys.ts";
import { hasAffinity, hostAffinity, readBlock } from "../../src/ipam/model/affinity.ts";
import { hasAllocations } from "../../src/ipam/model/block.ts";
import { blockOf, blockSizes, type Pool } from "../../src/ipam/model/pool.ts";
import { familyOf } from "../../src/net/address.ts";
import { addressAt, addressCount, addressOf, contains, lengthOf, maskPrefix } from "../../src/net/prefix.ts";
import type { Blackhole, Resource } from "../../src/plan/resource.ts";
import { DamagedError } from "../../src/store/damage.ts";
import { blockCidrOf } from "../../src/store/object-name.ts";
import { openDatastore } from "../../src/store/open.ts";
import { drive, list, type Store } from "../../src/store/transaction.ts";
import { blockRouteProtocol } from "./names.ts";

/** Facts about the node's routes. */
export interface BlockFacts {
  /** Whether there is a route to exactly this block, ours or a foreign one; `undefined` if unknown. */
  readonly hasRoute: (block: string) => boolean | undefined;
  /** Whether a block is in a network of the node. `address`: one in the block without a route of its own. */
  readonly isShared: (block: string, address: string) => boolean;
}

export function blockFacts(facts: NodeFacts): BlockFacts {
  return {
    hasRoute: (block) => facts.hasRoute(block),
    isShared: (block, address) => isShared(facts, block, address),
  };
}

/**
 * The missing routes of the node's own blocks that contain the addresses. **Call it after the addresses were assigned**: a DEL that removes the
 * route later looks again, and sees them.
 */
export function planBlocks(
  sys: Sys,
  pools: readonly Pool[],
  node: string,
  addresses: readonly string[],
  facts: BlockFacts,
): readonly Resource[] {
  const blocks = new Map<string, string>();
  for (const address of addresses.map(addressOf)) {
    const pool = pools.find(({ cidr }) => contains(cidr, address));
    if (pool !== undefined && pool.blockSize < lengthOf(address)) blocks.set(blockOf(pool, address), address);
  }
  return [...blocks]
    .filter(([block, address]) => !facts.hasRoute(block) && isOwn(sys, node, block) && !facts.isShared(block, address))
    .map(([block]) => routeOf(block));
}

function routeOf(destination: string): Blackhole {
  return { kind: "blackhole", at: "host", destination, protocol: blockRouteProtocol };
}

/**
 * Whether a block is part of a network of the node, where other hosts may have its other addresses. A newly assigned address has no route of its
 * own yet; if it has one, another address of the block is looked up.
 */
function isShared(facts: NodeFacts, block: string, address = addressOf(block)): boolean {
  const others = () => [addressOf(block), addressAt(block, addressCount(block) - 1n)];
  return facts.isInNetwork(block, [address]) ?? facts.isInNetwork(block, others()) ?? false;
}

/** By the affinity, which is smaller to read than the block. A pod also works without the route. */
function isOwn(sys: Sys, node: string, block: string): boolean {
  return unlessDamaged(() => drive(hasAffinity(node, block), blockStore(sys))) === true;
}

/**
 * Removes the routes of unused blocks of the released addresses. Pool and block may be gone, so it considers a block of each size.
 */
export function removeIdleBlocks(sys: Sys, node: string | undefined, addresses: readonly string[]): void {
  const known = new Map<string, Use>();
  const use = (block: string) => {
    const found = known.get(block) ?? useOf(sys, node, block);
    known.set(block, found);
    return found;
  };
  const idle = addresses.flatMap((address) => {
    const candidates: string[] = [];
    // The usual size comes first, and mostly no other is needed.
    for (const size of blockSizes(familyOf(address))) {
      const block = maskPrefix(`${addressOf(address)}/${size}`);
      const found = use(block);
      if (found !== "none") return found === "idle" ? [block] : [];
      candidates.push(block);
    }
    return candidates;
  });
  withExecutor(sys, undefined, (executor, facts) => removeUnused({ executor, facts, sys }, node, [...new Set(idle)]));
}

/** For GC: adds the missing routes of all blocks and removes the unused ones, after killed processes. */
export function reconcileBlocks(sys: Sys, node: string | undefined): void {
  const objects = drive(list("IPAMBlock"), blockStore(sys));
  const blocks = objects.flatMap(({ metadata: { name } }) => blockCidrOf(name) ?? []);
  withExecutor(sys, undefined, (executor, facts) => {
    const isMissing = (block: string) =>
      facts.hasRoute(block) !== true && useOf(sys, node, block) === "used" && !isShared(facts, block);
    // One by one: of IPv6 it is not known which are there, and the kernel answers each that is.
    for (const block of blocks.filter(isMissing)) executor.apply({ owner: unowned, resources: [routeOf(block)] });
    removeUnused({ executor, facts, sys }, node, blocks);
  });
}

/** A block that is used again by the time its route is removed gets it back. */
function removeUnused(
  { executor, facts, sys }: { readonly executor: Executor; readonly facts: NodeFacts; readonly sys: Sys },
  node: string | undefined,
  ranges: readonly string[],
): void {
  const isWanted = (block: string) => {
    const use = useOf(sys, node, block);
    if (use === "unknown") return undefined;
    return use === "used" ? !isShared(facts, block) || undefined : false;
  };
  executor.remove(unowned, [{ kind: "blackhole", protocol: blockRouteProtocol, ranges, isWanted }]);
}

type Use = "used" | "idle" | "none" | "unknown";

/** A block of another node, without an owner, or of a single address has no route here. */
function useOf(sys: Sys, node: string | undefined, cidr: string): Use {
  const block = unlessDamaged(() => drive(readBlock(cidr), blockStore(sys)));
  if (block === "damaged") return "unknown";
  if (block === undefined) return "none";
  const { spec } = block;
  const isNodes = node === undefined || spec.affinity === hostAffinity(node);
  return isNodes && hasAllocations(spec) && spec.allocations.length > 1 ? "used" : "idle";
}

function unlessDamaged<T>(read: () => T): T | "damaged" {
  try {
    return read();
  } catch (error) {
    if (error instanceof DamagedError) return "damaged";
    throw error;
  }
}

function blockStore(sys: Sys): Store {
  return openDatastore("file", sys).store;
}
