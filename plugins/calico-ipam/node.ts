/** The node's addresses and networks, which pods' addresses must not overlap. */
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import type { NodesOwn } from "../../src/ipam/assign/candidate.ts";
import type { PoolContext } from "../../src/ipam/assign/default-pools.ts";
import type { Family } from "../../src/net/address.ts";
import { type NodeNetworks, withoutPodGateways } from "../../src/net/node-networks.ts";
import type { Context, JsonObject } from "../../src/plugin/plugin.ts";
import { DamagedError } from "../../src/store/damage.ts";
import type { StoreError } from "../../src/store/store-error.ts";
import type { IpamConf } from "./conf.ts";

export interface Node {
  readonly own: NodesOwn;
  readonly poolContext: PoolContext;
  /** Called with each damaged object that the store omits from a listing. */
  leftOut(error: StoreError): void;
  /** Runs `body` and closes the connections that it opened. */
  use<T>(body: () => T): T;
}

/** `calico` adds a route for each pod; the pods of other main plugins (bridge, ptp, macvlan) may be in a network of the node. */
export function nodeOf(
  { conf, document }: { readonly conf: IpamConf; readonly document: JsonObject },
  { sys, log }: Context,
): Node {
  const routed = document.type === "calico";
  const node = new NodeFacts(sys);
  const addresses = node.addresses({ routed });
  const warned = new Set<string>();
  let damagedPool: StoreError | undefined;
  const networks: { [family in Family]?: NodeNetworks } = {};
  return {
    own(address, pool) {
      const found = addresses.find(address, pool);
      if (found !== undefined && !warned.has(found.range)) {
        warned.add(found.range);
        log.warning("address of the node passed over", () => ({ address, pool, reason: `it ${found.reason}` }));
      }
      return found;
    },
    poolContext: {
      random: () => sys.randomBytes(5),
      networks(family) {
        if (!routed) return undefined;
        networks[family] ??= withoutPodGateways(node.networks(family), conf.gateways);
        return networks[family];
      },
      routes: (family) => node.destinations(family),
      warn: (message) => log.warning(message),
      damagedPool: () => damagedPool,
    },
    leftOut(error) {
      if (error instanceof DamagedError && error.object.kind === "IPPool") damagedPool ??= error;
    },
    use(body) {
      try {
        return body();
      } finally {
        addresses.close();
      }
    },
  };
}
