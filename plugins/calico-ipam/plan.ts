/** The addresses that an ADD would assign now, for `tortie plan`: assigned in a datastore that discards its writes. */
import type { Result } from "../../src/cni/result.ts";
import type { Sys } from "../../src/host/sys.ts";
import { autoAssign } from "../../src/ipam/assign/assign.ts";
import { ensureDefaultPools } from "../../src/ipam/assign/default-pools.ts";
import { assignAddresses } from "../../src/ipam/assign/explicit.ts";
import type { Pool } from "../../src/ipam/model/pool.ts";
import { collisionsOf, type NodeNetworks } from "../../src/net/node-networks.ts";
import { addressOf } from "../../src/net/prefix.ts";
import type { AddRequest } from "../../src/plugin/plugin.ts";
import { datastoreType, openDatastore } from "../../src/store/open.ts";
import { type IpamConf, nothingWanted, requestedAddresses } from "./conf.ts";
import { assignArgsOf } from "./embedded.ts";
import { resultOf } from "./result.ts";
import { reservedAddresses } from "./subnets.ts";

export interface AddressFacts {
  /** Discards its writes. */
  readonly sys: Sys;
  readonly networks: NodeNetworks;
  /** The destinations of the node's routes. */
  readonly routes: readonly string[];
}

/** Throws the same errors as ADD. */
export function planAddresses(request: AddRequest<IpamConf>, { sys, networks, routes }: AddressFacts): Result {
  const { conf, args, attachment, document } = request;
  const requests = attachment.ifname === "eth0" ? conf.requestsOfPod : conf.requests;
  const addresses = requestedAddresses(requests, args);
  if (addresses.length === 0 && requests.wanted.length === 0) throw nothingWanted();
  const around = {
    random: () => sys.randomBytes(5),
    networks: () => networks,
    routes: () => routes,
    warn: () => {},
    damagedPool: () => undefined,
  };
  const nodes = (address: string) => {
    const found = networks.addresses.find((one) => addressOf(one.address) === address);
    const [collision] =
      found === undefined ? [] : collisionsOf(`${address}/${address.includes(":") ? 128 : 32}`, networks);
    return collision && { range: address, reason: collision.text };
  };
  let subnets: readonly Pool[] = [];
  const assigned = openDatastore(datastoreType(document), sys).transact(function* () {
    const pools = yield* ensureDefaultPools(requests.configured, around);
    subnets = pools.pools;
    const reserved = reservedAddresses(subnets, conf.gateways);
    const assignArgs = { ...assignArgsOf(request, sys), pools, nodes };
    if (addresses.length > 0)
      return yield* assignAddresses({ ...assignArgs, addresses, mayTakeOver: () => false, reserved });
    const wanted = requests.wanted.map((one) => ({ ...one, count: 1 }));
    return yield* autoAssign({ ...assignArgs, wanted, reserved });
  });
  return resultOf(assigned, addresses.length > 0, conf, subnets);
}
