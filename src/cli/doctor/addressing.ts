/**
 * Checks the sources of addresses: pools that overlap the node's networks, unknown fields of pools, and blocks that belong to a node of
 * another name.
 */
import { CniError } from "../../cni/error.ts";
import type { AffinitySpec } from "../../ipam/model/affinity.ts";
import { type Block, isBlock, isEmpty } from "../../ipam/model/block.ts";
import { decodePool, type Pool } from "../../ipam/model/pool.ts";
import { canonicalAddress } from "../../net/address.ts";
import { collisionsOf, type NodeNetworks, withoutPodGateways } from "../../net/node-networks.ts";
import { addressOf } from "../../net/prefix.ts";
import { nodename, nodenameConf } from "../../plugin/nodename.ts";
import type { Kind, StoredObject } from "../../store/object.ts";
import { StoreError } from "../../store/store-error.ts";
import { drive, list } from "../../store/transaction.ts";
import type { Cli } from "../cli.ts";
import { gatherNodeNetworks } from "../node/networks.ts";
import { withoutText } from "../resources/document-text.ts";
import { specFaults } from "../resources/schema.ts";
import { datastoreOf } from "../store.ts";
import type { Finding } from "./finding.ts";
import { ipamTypeOf, type NetworkFacts, networksIn, type PluginConf } from "./networks.ts";

export interface AddressingFacts {
  /** Without the networks of bridges and the like, whose gateways the networks name. */
  readonly node: NodeNetworks;
  /** All addresses of the node's interfaces, including the gateways of pods. */
  readonly hostAddresses: readonly string[];
  readonly pools: readonly StoredObject[];
  readonly affinities: readonly AffinitySpec[];
  readonly blocks: readonly Block[];
  /** The node names under which `calico-ipam` claims blocks here; empty if no network uses it. */
  readonly names: readonly string[];
}

export async function gatherAddressing(cli: Cli, networks: NetworkFacts): Promise<AddressingFacts> {
  const node = await gatherNodeNetworks(cli);
  const confs = networksIn(networks)
    .flatMap(({ plugins }) => plugins)
    .filter((plugin) => ipamTypeOf(plugin) === "calico-ipam");
  return {
    node: withoutPodGateways(node, confs.flatMap(gatewaysOf)),
    hostAddresses: node.addresses.map(({ address }) => addressOf(address)),
    pools: objects(cli, "IPPool"),
    affinities: objects(cli, "BlockAffinity").map(({ spec }) => spec as AffinitySpec),
    blocks: objects(cli, "IPAMBlock").filter(isBlock),
    names: [...new Set(confs.flatMap((conf) => nameFor(cli, conf)))],
  };
}

/** Damage is reported elsewhere. */
function objects(cli: Cli, kind: Kind): readonly StoredObject[] {
  return drive(list(kind), datastoreOf(cli).store).map((object) => withoutText(object) as StoredObject);
}

function gatewaysOf({ document }: PluginConf): readonly string[] {
  const { gateways } = document.ipam as { readonly gateways?: unknown };
  return Array.isArray(gateways) ? gateways.flatMap((text) => canonicalAddress(String(text)) ?? []) : [];
}

/** If the plugin cannot determine it, its STATUS says so. */
function nameFor({ sys }: Cli, { document }: PluginConf): readonly string[] {
  try {
    return [nodename(nodenameConf(textsOf(document)), sys)];
  } catch (error) {
    if (error instanceof CniError) return [];
    throw error;
  }
}

/** The keys that the plugin would accept: it rejects values of another type. */
function textsOf(document: PluginConf["document"]): Parameters<typeof nodenameConf>[0] {
  const text = (key: string) => (typeof document[key] === "string" ? document[key] : undefined);
  return {
    nodename: text("nodename"),
    nodename_file: text("nodename_file"),
    nodename_file_optional: document.nodename_file_optional === true,
    hostname: text("hostname"),
  };
}

export function checkAddressing(facts: AddressingFacts): readonly Finding[] {
  return [...facts.pools.flatMap((pool) => checkPool(pool, facts)), ...checkForeignBlocks(facts)];
}

function checkPool(object: StoredObject, { node }: AddressingFacts): readonly Finding[] {
  const { name } = object.metadata;
  const pool = decoded(object);
  if (pool === undefined) return [];
  const unknown = specFaults({ kind: "IPPool", spec: object.spec as object });
  return [
    ...(unknown.length === 0 ? [] : [fieldFinding(name, unknown)]),
    ...(pool.disabled ? [] : collisionFindings(pool, node)),
  ];
}

/** An invalid pool is reported elsewhere. */
function decoded(object: StoredObject): Pool | undefined {
  try {
    return decodePool(object);
  } catch (error) {
    if (error instanceof StoreError) return undefined;
    throw error;
  }
}

function fieldFinding(name: string, faults: readonly string[]): Finding {
  return {
    id: "pool-field-wrong",
    section: "addresses",
    severity: "warning",
    subject: `IPPool "${name}"`,
    text: `has ${faults.join("; ")}: it has no effect, or another one than intended`,
    remedy: `tortie get ippool ${name} -o yaml > pool.yaml   # correct it, then run: tortie apply -f pool.yaml`,
  };
}

function collisionFindings({ name, cidr }: Pool, node: NodeNetworks): readonly Finding[] {
  const collisions = collisionsOf(cidr, node);
  if (collisions.length === 0) return [];
  const breaks = collisions.some((collision) => collision.breaks);
  const effect = breaks
    ? "pods cannot reach that host"
    : "pods cannot reach other hosts there that have their addresses";
  return [
    {
      id: "pool-overlaps-node",
      section: "addresses",
      severity: breaks ? "error" : "warning",
      subject: `IPPool "${name}"`,
      text: `(${cidr}) ${collisions.map(({ text }) => text).join(" and ")}: ${effect}`,
      remedy: `tortie delete ippool ${name}   # when its pods have ended; configure a range outside the node's networks, or none`,
    },
  ];
}

/** Blocks of another node name are used only on request or when borrowed, and with strict affinity not at all. */
function checkForeignBlocks({ affinities, blocks, names }: AddressingFacts): readonly Finding[] {
  if (names.length === 0) return [];
  const byCidr = new Map(blocks.map(({ spec, metadata }) => [spec.cidr, { spec, name: metadata.name }]));
  return affinities
    .filter(({ node, type }) => !names.includes(node) && (type ?? "host") === "host")
    .map(({ node, cidr }) => {
      const block = byCidr.get(cidr);
      const used = block === undefined ? 0 : block.spec.allocations.length - block.spec.unallocated.length;
      const whose = `belongs to node ${JSON.stringify(node)}, and this node is "${names.join('" or "')}"`;
      const finding = { id: "block-of-other-node", section: "addresses", severity: "warning", subject: cidr } as const;
      if (block !== undefined && !isEmpty(block.spec)) {
        const text = `${whose}: ${used === 1 ? "1 address of it is" : `${used} addresses of it are`} in use yet`;
        return { ...finding, text, remedy: "# it can be released when its pods have ended" };
      }
      return {
        ...finding,
        text: `${whose}: no node assigns addresses from it`,
        remedy: "tortie doctor --fix",
        fix: { kind: "reclaim", node, cidr } as const,
      };
    });
}
