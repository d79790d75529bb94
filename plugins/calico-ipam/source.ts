/** Where addresses come from: the embedded datastore (`embedded.ts`), or a cluster's by the node agent (`cluster.ts`). */
import type { Result } from "../../src/cni/result.ts";
import type { Pool } from "../../src/ipam/model/pool.ts";
import type { ClusterPool } from "../../src/plugin/node-agent.ts";
import type { AddRequest, Context, DelRequest, Plugin } from "../../src/plugin/plugin.ts";
import type { IpamConf } from "./conf.ts";

/** Details of a call for a caller in the same process, which would have to read them again. */
export interface CallDetails {
  /** All pools, where all could be read. */
  pools?: readonly Pool[];
  /** The same of a cluster. */
  clusterPools?: readonly ClusterPool[];
  /** The addresses that a DEL released: all other traces of them may be gone. */
  released?: readonly string[];
}

/** The operations of the plugin. Those that fill in `details` get them. */
export interface AddressSource extends Pick<Plugin<IpamConf>, "check" | "gc" | "status"> {
  add(request: AddRequest<IpamConf>, context: Context, details: CallDetails): Result;
  del(request: DelRequest<IpamConf>, context: Context, details: CallDetails): void;
}
