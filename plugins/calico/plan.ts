/** The objects of an attachment in the kernel: the endpoint, and objects that the node's pods share. */
import type { Sys } from "../../src/host/sys.ts";
import type { Pool } from "../../src/ipam/model/pool.ts";
import { addressOf, contains } from "../../src/net/prefix.ts";
import type { Plan, Resource } from "../../src/plan/resource.ts";
import { planForwarding } from "../../src/plugin/forwarding.ts";
import type { ClusterNat } from "../../src/plugin/node-agent.ts";
import { nodename } from "../../src/plugin/nodename.ts";
import type { PlanAdd } from "../../src/plugin/planned.ts";
import { type BlockFacts, planBlocks } from "./blocks.ts";
import type { CalicoConf } from "./conf.ts";
import { type EndpointSpec, planEndpoint } from "./endpoint.ts";
import { type Identity, identify } from "./identity.ts";
import { planNat, readPools } from "./nat.ts";
import { planPoolRules } from "./pool-rules.ts";
import { resultOf, wantedAtAdd } from "./wanted.ts";

export interface PlanContext {
  readonly sys: Sys;
  /** This node's name. */
  readonly node: string;
  readonly ipamType: string;
  /** All pools; read from the datastore if absent. */
  readonly pools?: readonly Pool[] | undefined;
  /** A cluster's pools, for whose blocks and pools the node agent adds routes. */
  readonly clusterNat?: ClusterNat | undefined;
  readonly blockFacts: BlockFacts;
}

export function planOf({ owner }: Identity, wanted: EndpointSpec, around: PlanContext): Plan {
  const { addresses } = wanted;
  const { sys, clusterNat } = around;
  const own = [...planForwarding(sys, addresses), ...planEndpoint(wanted)];
  const shared =
    clusterNat === undefined
      ? planShared(addresses, around)
      : planNat(clusterNat.pools, addresses, clusterNat.outgoing);
  return { owner, resources: [...own, ...shared] };
}

/** The node's objects for the pools of its own datastore. */
function planShared(
  addresses: readonly string[],
  { sys, node, ipamType, pools = readPools(sys), blockFacts }: PlanContext,
): readonly Resource[] {
  return [
    ...planBlocks(sys, pools, node, addresses, blockFacts),
    ...planPoolRules(hasPools(ipamType) ? pools : [], addresses),
    ...planNat(pools, addresses),
  ];
}

/** Whether addresses are from pools: a foreign IPAM plugin may assign addresses that are in a pool by chance. */
export function hasPools(ipamType: string): boolean {
  return ipamType === "calico-ipam";
}

export const planAdd: PlanAdd<CalicoConf> = (request, { sys, ipam, networks }) => {
  const identity = identify(request.attachment, request.args);
  const wanted = wantedAtAdd(request, identity, ipam, sys);
  const isShared = (block: string) => networks.some((network) => contains(network, addressOf(block)));
  return {
    plan: planOf(identity, wanted, {
      sys,
      node: nodename(request.conf.node, sys),
      ipamType: request.conf.ipamType,
      blockFacts: { hasRoute: () => undefined, isShared },
    }),
    result: resultOf(wanted, request, wanted.mtu, ipam),
  };
};
