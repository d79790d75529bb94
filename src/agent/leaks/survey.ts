/** One look over the whole datastore: what nodes have that are gone, and which handles have addresses. */
import type { AffinitySpec } from "../../ipam/model/affinity.ts";
import { isBlock } from "../../ipam/model/block.ts";
import { canonicalPrefix } from "../../net/prefix.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import { type Held, type Holding, heldIn, holdingsOf, ownerOfBlock } from "./holding.ts";

/** What a node has that is gone. */
export interface LostNode {
  readonly holdings: readonly Holding[];
  /** The CIDRs of its blocks and affinities. */
  readonly cidrs: ReadonlySet<string>;
}

export interface Survey {
  readonly nodes: ReadonlySet<string>;
  /** By the name of the node. */
  readonly lost: ReadonlyMap<string, LostNode>;
  /** The IDs of all handles that have an address. */
  readonly handlesInUse: ReadonlySet<string>;
}

/** Holds neither nodes nor blocks. Rejects with `StoreError`. */
export async function survey(datastore: AsyncDatastore): Promise<Survey> {
  const cidrs = new Map<string, Set<string>>();
  const held = new Map<string, Held[]>();
  const handlesInUse = new Set<string>();
  const nodes = new Set<string>();
  // Nodes last: a node that comes meanwhile is not taken for gone.
  await datastore.visit("BlockAffinity", ({ spec }) => {
    const { node, cidr, type } = spec as Partial<AffinitySpec>;
    const isHost = type === undefined || (type as string) === "" || type === "host";
    if (isHost && node !== undefined && cidr !== undefined && canonicalPrefix(cidr) === cidr) put(cidrs, node, cidr);
  });
  await datastore.visit("IPAMBlock", (block) => {
    if (!isBlock(block)) return;
    const owner = ownerOfBlock(block);
    if (owner !== undefined) put(cidrs, owner, block.spec.cidr);
    for (const one of heldIn(block)) {
      handlesInUse.add(one.handleId);
      if (one.node !== undefined) held.set(one.node, [...(held.get(one.node) ?? []), one]);
    }
  });
  await datastore.visit("Node", ({ metadata }) => void nodes.add(metadata.name));
  const lost = [...new Set([...cidrs.keys(), ...held.keys()])].filter((node) => !nodes.has(node));
  return {
    nodes,
    handlesInUse,
    lost: new Map(
      lost.map((node) => [node, { holdings: holdingsOf(held.get(node) ?? []), cidrs: cidrs.get(node) ?? new Set() }]),
    ),
  };
}

function put(into: Map<string, Set<string>>, key: string, value: string): void {
  const known = into.get(key);
  if (known === undefined) into.set(key, new Set([value]));
  else known.add(value);
}
