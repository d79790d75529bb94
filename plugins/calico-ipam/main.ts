/**
 * `calico-ipam`: addresses from pools, cut into blocks that this node claims.
 *
 *     datastore_type   file                   embedded.ts   files of this node
 *                      kubernetes, etcdv3     cluster.ts    the node agent, which has the cluster's
 *
 * ADD gives what the attachment holds already, or new addresses: all that were asked for or none. DEL, CHECK and GC go by the handle.
 */
import { usesAgent } from "../../src/plugin/node-agent.ts";
import { definePlugin, type JsonObject, type Plugin } from "../../src/plugin/plugin.ts";
import { cluster } from "./cluster.ts";
import { type IpamConf, parseConf } from "./conf.ts";
import { embedded } from "./embedded.ts";
import type { AddressSource, CallDetails } from "./source.ts";

/** The plugin, which fills in `details`. */
export function withCallDetails(details: CallDetails): Plugin<IpamConf> {
  return definePlugin<IpamConf>({
    name: "calico-ipam",
    parseConf,
    // Asked by another main plugin than ours, of which nothing else is recorded.
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
