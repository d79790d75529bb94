/** The nodes and interfaces at the ends of a way, which several steps ask for. */
import type { NetworkNode } from "../../cluster-network/network-node.ts";
import type { Family } from "../../net/address.ts";
import { addressOf } from "../../net/prefix.ts";
import type { Link, Target, TraceFacts } from "./facts.ts";

/** The other node; `undefined`: the packet stays here, or leaves the cluster. */
export function farNodeOf(target: Target): NetworkNode | undefined {
  return target.kind === "far pod" || target.kind === "far node" ? target.on : undefined;
}

/** By the datastore, without the length of its network; `undefined`: it has none of the family, or the node is not known. */
export function addressOfNode(node: NetworkNode | undefined, family: Family): string | undefined {
  const address = node?.addresses[family];
  return address && addressOf(address);
}

/** The interface of this node that has the address. */
export function holderOf(links: TraceFacts["links"], address: string | undefined): Link | undefined {
  return [...(links?.values() ?? [])].find(({ addresses }) => address !== undefined && addresses.includes(address));
}
