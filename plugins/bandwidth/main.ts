/**
 * `bandwidth`: limits what a pod sends and receives, on its host interface (`shaping.ts` shows the qdiscs).
 *
 * A chained plugin: another plugin creates the veth pair. ADD adds the ifb that egress needs to the result. DEL removes it; the kernel removes
 * the qdiscs of the veth with the veth.
 */

import { withExecutor } from "../../src/dataplane/executor.ts";
import { NodeFacts } from "../../src/dataplane/node-facts.ts";
import { ownerOf } from "../../src/identity/attachment.ts";
import type { Logger } from "../../src/log/logger.ts";
import { chained } from "../../src/plugin/chained.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { notReady } from "../../src/plugin/not-ready.ts";
import { removalOf } from "../../src/plugin/owned.ts";
import { definePlugin } from "../../src/plugin/plugin.ts";
import { openSandbox } from "../../src/plugin/sandbox.ts";
import { type BandwidthConf, parseConf } from "./conf.ts";
import { hostInterfaceOf } from "./host-interface.ts";
import { ifbName, isIfbName, planShaping, withRoom } from "./shaping.ts";

const signature = { kind: "ifb" } as const;

export default definePlugin<BandwidthConf>({
  name: "bandwidth",
  parseConf,
  records: true,

  add({ attachment, conf, netns, prevResult }, { sys, log, undo, record }) {
    const passed = chained("bandwidth", prevResult);
    if (!limits(conf)) return passed;
    const ifb = ifbName(attachment);
    const applied = withExecutor(sys, openSandbox(sys, netns), (executor, facts) => {
      const { name: hostInterface, mtu } = hostInterfaceOf(facts, attachment.ifname, passed);
      warnOfRaised(conf, mtu, log);
      const plan = { owner: ownerOf(attachment), resources: planShaping(conf, { hostInterface, mtu, ifb }) };
      record();
      return executor.apply(plan);
    });
    undo("remove the limits", () => applied.undo());
    if (conf.egress === undefined) return passed;
    const mac = applied.links.get(`host:${ifb}`)?.mac;
    const others = (passed.interfaces ?? []).filter(({ name, sandbox }) => name !== ifb || sandbox);
    return { ...passed, interfaces: [...others, { name: ifb, ...(mac === undefined ? {} : { mac }) }] };
  },

  check({ attachment, conf, netns, prevResult }, { sys }) {
    if (!limits(conf)) return;
    const ifb = ifbName(attachment);
    withExecutor(sys, openSandbox(sys, netns), (executor, facts) => {
      const { name: hostInterface, mtu } = hostInterfaceOf(facts, attachment.ifname, prevResult);
      const plan = { owner: ownerOf(attachment), resources: planShaping(conf, { hostInterface, mtu, ifb }) };
      refuseDifferences(`the limits of "${attachment.ifname}"`, executor.diff(plan));
    });
  },

  ...removalOf({
    onHost: (attachment) => [{ kind: "link", at: "host", name: ifbName(attachment), signature }],
    links: { of: "ifb", isOurName: isIfbName, signature },
  }),

  status(_request, { sys }) {
    notReady(() => {
      const facts = new NodeFacts(sys);
      facts.probe({ kind: "links", of: ["ifb"] });
      facts.probe({ kind: "qdisc" });
    });
  },
});

function limits({ ingress, egress }: BandwidthConf): boolean {
  return ingress !== undefined || egress !== undefined;
}

/** A burst smaller than a packet would drop every packet, so it is raised; the pod starts, and the log has a warning. */
function warnOfRaised(conf: BandwidthConf, mtu: number, log: Logger): void {
  for (const direction of ["ingress", "egress"] as const) {
    const limit = conf[direction];
    const raised = limit && withRoom(limit, mtu).burstBytes;
    if (raised === limit?.burstBytes) continue;
    log.warning("the burst is smaller than a packet; raised to the size of a packet", () => ({
      direction,
      askedBits: 8 * (limit?.burstBytes ?? 0),
      burstBits: 8 * (raised ?? 0),
      mtu,
    }));
  }
}
