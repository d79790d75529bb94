/** The source of addresses: the embedded datastore (`embedded.ts`), or a cluster's through the node agent (`cluster.ts`). */
import type { Result } from "../../src/cni/result.ts";
import type { Pool } from "../../src/ipam/model/pool.ts";
import type { ClusterNat } from "../../src/plugin/node-agent.ts";
import type { AddRequest, Context, DelRequest, Plugin } from "../../src/plugin/plugin.ts";
import type { IpamConf } from "./conf.ts";

/** What a caller in the same process says, and results that it would otherwise have to read again. */
export interface CallDetails {
  /** The caller's `put-endpoint` confirms the addresses. */
  readonly confirmsLater?: boolean;
  /** The agent has not answered the caller. */
  readonly isSilent?: boolean;
  /** The addresses to confirm; absent: the datastore has them. */
  unconfirmed?: readonly string[];
  /** All pools, if all could be read. */
  pools?: readonly Pool[];
  clusterNat?: ClusterNat;
  /** The addresses that a DEL released: no other record of them may be left. */
  released?: readonly string[];
}

/** The operations of the plugin. Those that take `details` fill them in. */
export interface AddressSource extends Pick<Plugin<IpamConf>, "check" | "gc" | "status"> {
  add(request: AddRequest<IpamConf>, context: Context, details: CallDetails): Result;
  del(request: DelRequest<IpamConf>, context: Context, details: CallDetails): void;
}
