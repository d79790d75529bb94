/** Begins to keep the node's network, with everything that it needs of the agent. */
import type { Sys } from "../../host/sys.ts";
import type { AsyncDatastore } from "../../store/async-datastore.ts";
import type { AsyncStore } from "../../store/transaction.ts";
import { followTrouble } from "../datastore/follow-trouble.ts";
import type { Health } from "../health.ts";
import type { Metrics } from "../metrics.ts";
import type { NetworkRole } from "../settings/read.ts";
import type { AgentLog } from "../start/start-node.ts";
import { Network } from "./network.ts";
import { NetworkStore } from "./network-store.ts";
import { Tunnels } from "./tunnels.ts";

export interface NetworkContext {
  readonly node: string;
  readonly datastore: AsyncDatastore;
  /** The datastore as transactions of this node see it. */
  readonly transactions: AsyncStore;
  readonly sys: Sys;
  readonly health: Health;
  readonly metrics: Metrics;
  readonly log: AgentLog;
  readonly signal: AbortSignal;
  /** An interface changed that may have this node's address. */
  readonly onUplink: () => void;
}

/** Ends with the signal; routes and devices stay. */
export function beginNetwork(role: NetworkRole, context: NetworkContext): Network {
  const { node, datastore, transactions, sys, health, metrics, log, signal, onUplink } = context;
  const store = new NetworkStore(datastore, {
    node,
    settings: role.settings,
    onChange: () => {
      tunnels.poke();
      network.poke();
    },
    onTrouble: followTrouble(log),
  });
  const tunnels = new Tunnels(store, { node, transactions, log, signal, hasIpv6: role.hasIpv6 });
  const network = new Network(store, {
    ...role,
    ...{ node, sys, log, signal, onUplink },
    onState: (reason) => health.set("network", reason),
  });
  const help = "What is wrong with the routes to other nodes: the number of reasons.";
  metrics.reading("tortie_node_network_troubles", "gauge", help, () => network.troubles().length);
  return network;
}
