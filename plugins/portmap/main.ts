/**
 * `portmap`: ports of the host lead to the container.
 *
 *     outside ──> prerouting ─┐  to an address of the host              ┌─> route ─> postrouting ──> container
 *     host    ──> output ─────┴─> hostports: port in the map? ──dnat──>─┘            │
 *     container to itself ────> prerouting                                           └ masquerade, if from the container itself or
 *                                                                                      from 127.0.0.1 (snat), or from anywhere (masqAll)
 *     outside, to 127.0.0.0/8 ──> guard ──drop
 *
 * A chained plugin. It finds the container's addresses in the result of those before it and passes the result on unchanged. DEL needs
 * nothing but the attachment: neither the mappings nor the result.
 */
import type { Attachment } from "../../src/cni/attachment.ts";
import { CniError, code } from "../../src/cni/error.ts";
import { forgetUdpFlows } from "../../src/dataplane/conntrack.ts";
import { chained } from "../../src/plugin/chained.ts";
import { notReady } from "../../src/plugin/not-ready.ts";
import { type Context, definePlugin, type JsonObject } from "../../src/plugin/plugin.ts";
import { runEvery } from "../../src/plugin/steps.ts";
import { type Backend, type Family, families } from "./backend.ts";
import { backendOf, type PortmapConf, parseConf } from "./conf.ts";
import { endedFor } from "./ended.ts";
import { iptables } from "./iptables.ts";
import { routeLocalnet } from "./localnet.ts";
import { nftables } from "./nftables.ts";
import { type Target, targetsOf } from "./target.ts";

const backends = { nftables, iptables } as const;

export default definePlugin<PortmapConf>({
  name: "portmap",
  parseConf,

  add({ attachment, args, conf, prevResult }, context) {
    const result = chained("portmap", prevResult);
    const { sys } = context;
    const backend = backends[conf.backend];
    const targets = conf.mappings.length === 0 ? [] : targetsOf(result, attachment.ifname);
    if (targets.length > 0) {
      const hasEnded = endedFor(attachment, args, sys);
      const takeBack = backend.add({ attachment, conf, targets, hasEnded }, sys);
      context.undo("take back the port mappings", takeBack);
      forget(
        conf.mappings.flatMap(({ protocol, hostPort }) => (protocol === "udp" ? [hostPort] : [])),
        context,
      );
      if (conf.snat) routeLocalnet(result, targets, sys);
    }
    // What an earlier ADD of the attachment mapped.
    const others = families.filter((family) => !mapsTo(family, conf, targets));
    if (others.length > 0) forget(backend.del(attachment, others, sys), context);
    return result;
  },

  check({ attachment, conf, prevResult }, { sys }) {
    const targets = targetsOf(prevResult, attachment.ifname);
    if (conf.mappings.length === 0 || targets.length === 0) return;
    const found = backends[conf.backend].check({ attachment, conf, targets }, sys);
    if (found.length === 0) return;
    throw new CniError(
      code.different,
      `cannot confirm the port mappings of "${attachment.ifname}": ${found.join("; ")}`,
    );
  },

  del({ attachment, document }, context) {
    inEach(document, attachment, context, (backend) => backend.del(attachment, families, context.sys));
  },

  gc({ network, valid, document }, context) {
    const kept = valid.map((attachment) => ({ network, ...attachment }));
    inEach(document, undefined, context, (backend) => backend.gc(network, kept, context.sys));
  },

  status({ conf }, { sys }) {
    notReady(() => backends[conf.backend].status(sys));
  },
});

function mapsTo(family: Family, { mappings }: PortmapConf, targets: readonly Target[]): boolean {
  return targets.some((target) => target.family === family) && mappings.some((one) => one.families.includes(family));
}

/**
 * Removes from the back end that the configuration names, and from the other one if it may hold something: the configuration may have been
 * changed since ADD, or that was the Go plugin's, whose default is iptables.
 */
function inEach(
  document: JsonObject,
  attachment: Attachment | undefined,
  context: Context,
  remove: (backend: Backend) => readonly number[],
): void {
  const named = backends[backendOf(document)];
  const other = named === nftables ? iptables : nftables;
  runEvery([
    () => forget(remove(named), context),
    () => {
      if (other.mayHold(attachment, context.sys)) forget(remove(other), context);
    },
  ]);
}

/** Ends what connection tracking remembers of the UDP ports; that it could not is no reason to fail. */
function forget(udpPorts: readonly number[], { sys, log }: Context): void {
  if (udpPorts.length === 0) return;
  try {
    forgetUdpFlows(["ip", "ip6"], [...new Set(udpPorts)], sys);
  } catch (error) {
    log.warning("cannot forget UDP flows", () => ({ ports: udpPorts, error: String(error) }));
  }
}
