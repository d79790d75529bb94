/**
 * `calico-ipam`: addresses from pools, cut into blocks that this node claims.
 *
 *     datastore_type   file                   embedded.ts   files of this node
 *                      kubernetes, etcdv3     cluster.ts    the node agent, which accesses the cluster's datastore
 *
 * ADD returns the addresses that the attachment holds already, or new ones: all that were requested or none. DEL, CHECK and GC use the handle.
 */
import { usesAgent } from "../../src/plugin/node-agent.ts";
import { definePlugin, type JsonObject, type Plugin } from "../../src/plugin/plugin.ts";
import { cluster } from "./cluster.ts";
import { type IpamConf, parseConf } from "./conf.ts";
import { embedded } from "./embedded.ts";
import type { AddressSource, CallDetails } from "./source.ts";

/** The plugin, which also fills in `details`. */
export function withCallDetails(details: CallDetails): Plugin<IpamConf> {
  return definePlugin<IpamConf>({
    name: "calico-ipam",
    parseConf,
    // For a foreign main plugin, which keeps no record.
    records: true,
    add: (request, context) => sourceOf(request.document).add(request, context, details),
    check: (request, context) => sourceOf(request.document).check(request, context),
    del: (request, context) => sourceOf(request.document).del(request, context, details),
    gc: (request, context) => sourceOf(request.document).gc(request, context),
    status: (request, context) => sourceOf(request.document).status(request, context),
  });
}

export type { CallDetails };
export default withCallDetails({});

function sourceOf(document: JsonObject): AddressSource {
  return usesAgent(document) ? cluster : embedded;
}
