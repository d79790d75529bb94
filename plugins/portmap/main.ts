/**
 * `portmap`: ports of the host lead to the container.
 *
 *     outside ──> prerouting ─┐  to an address of the host              ┌─> route ─> postrouting ──> container
 *     host    ──> output ─────┴─> hostports: port in the map? ──dnat──>─┘            │
 *     container to itself ────> prerouting                                           └ masquerade, if from the container itself or
 *                                                                                      from 127.0.0.1 (snat), or from anywhere (masqAll)
 *     outside, to 127.0.0.0/8 ──> guard ──drop
 *
 * A chained plugin. It takes the container's addresses from the previous result, and returns that result unchanged. DEL needs only the
 * attachment, neither the mappings nor the result.
 */

import type { Result } from "../../src/cni/result.ts";
import { hasPart } from "../../src/endpoint/part.ts";
import type { Attachment } from "../../src/identity/attachment.ts";
import { type TableFamily, tableFamilies } from "../../src/net/address.ts";
import { chained } from "../../src/plugin/chained.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { notReady } from "../../src/plugin/not-ready.ts";
import { removalOf } from "../../src/plugin/owned.ts";
import { definePlugin } from "../../src/plugin/plugin.ts";
import { type Mapping, type PortmapConf, parseConf } from "./conf.ts";
import { hasEndedFor } from "./ended.ts";
import { forgetFormer, forgetUnanswered } from "./flows.ts";
import { formerPorts } from "./former-ports.ts";
import { warnOfHostProcesses } from "./host-processes.ts";
import { iptables, ownChains } from "./iptables.ts";
import { interfaceTowards, planLocalnet } from "./localnet.ts";
import { iptablesLock } from "./names.ts";
import { nftables } from "./nftables.ts";
import { backendFor, hasServiceLink, moveToIptables, readNat } from "./services.ts";
import { tables } from "./tables.ts";
import { type Target, targetsOf } from "./target.ts";

const backends = { nftables, iptables } as const;

export default definePlugin<PortmapConf>({
  name: "portmap",
  parseConf,
  records: true,

  add({ attachment, args, conf, prevResult }, context) {
    const result = chained("portmap", prevResult);
    const { sys } = context;
    const targets = targetsIn({ conf, attachment }, result);
    const nat = targets.length > 0 ? readNat(familiesOf(targets), sys) : undefined;
    const backend = nat ? backendFor(conf, nat, familiesOf(targets), context) : backends[conf.backend];
    const other = backend === nftables ? iptables : nftables;
    const acceptsServices = nat?.acceptsServices ?? hasServiceLink(sys);
    if (acceptsServices) moveToIptables(context);
    if (targets.length > 0) {
      const wanted = { attachment, conf, targets, hasEnded: hasEndedFor(attachment, args, sys) };
      if (other === nftables ? other.mayHold(attachment, sys) : nat?.hasHostPorts)
        forgetFormer(other.settle(wanted, sys), context);
      warnOfHostProcesses(servedBy(conf, targets), context);
      context.record();
      const localnet = conf.snat ? planLocalnet(targets, interfaceTowards(result, sys)) : [];
      const { former, takeBack } = backend.add(wanted, localnet, sys);
      context.undo("roll back the port mappings", takeBack);
      forgetFormer(former, context);
      forgetUnanswered(conf, targets, context);
    } else if (!acceptsServices && !hasPart(sys, { type: "portmap", attachment })) {
      // No earlier ADD of the attachment has mapped a port: it would have recorded its request first. Nor has a move of ports been interrupted.
      return result;
    }
    // An earlier ADD of the attachment may have mapped ports in these families.
    const others = tableFamilies.filter((family) => !mapsTo(family, conf, targets));
    if (others.length > 0) forgetFormer(backend.del(attachment, others, sys), context);
    // The other back end may have earlier ones, if the configuration or the node's kube-proxy was different then.
    const mayHold = other === nftables || sys.stat(iptablesLock) !== undefined;
    if (mayHold && other.mayHold(attachment, sys)) forgetFormer(other.del(attachment, tableFamilies, sys), context);
    return result;
  },

  check({ attachment, conf, prevResult }, context) {
    const { sys } = context;
    const targets = targetsOf(prevResult, attachment.ifname);
    if (conf.mappings.length === 0 || targets.length === 0) return;
    const backend = backendFor(conf, readNat(familiesOf(targets), sys), familiesOf(targets), context);
    refuseDifferences(`the port mappings of "${attachment.ifname}"`, backend.check({ attachment, conf, targets }, sys));
  },

  // From both back ends: the configuration may have changed since ADD, or ADD was done by the Go plugin, whose default is iptables.
  ...removalOf({
    tables,
    chains: ownChains,
    onRemoved: (removed, context) => forgetFormer(formerPorts(removed), context),
  }),

  status({ conf }, context) {
    notReady(() => backendFor(conf, readNat(tableFamilies, context.sys), tableFamilies, context).status(conf, context));
  },
});

/** The mappings, limited to the families in which they have a target. */
function servedBy({ mappings }: PortmapConf, targets: readonly Target[]): readonly Mapping[] {
  const there = familiesOf(targets);
  return mappings.map((one) => ({ ...one, families: one.families.filter((family) => there.includes(family)) }));
}

function familiesOf(targets: readonly Target[]): readonly TableFamily[] {
  return targets.map(({ family }) => family);
}

/** The container's addresses; none if no port is mapped. */
function targetsIn(
  { conf, attachment }: { readonly conf: PortmapConf; readonly attachment: Attachment },
  result: Result,
): readonly Target[] {
  return conf.mappings.length === 0 ? [] : targetsOf(result, attachment.ifname);
}

function mapsTo(family: TableFamily, { mappings }: PortmapConf, targets: readonly Target[]): boolean {
  return targets.some((target) => target.family === family) && mappings.some((one) => one.families.includes(family));
}
