/**
 * `bandwidth`: limits what a pod sends and receives, on the host's end of its veth (`shaping.ts` draws the queues).
 *
 * A chained plugin: the veth is another one's. ADD adds the ifb that egress needs to the result; DEL removes it, and the queues on the
 * veth end with the veth.
 */

import { apply } from "../../src/dataplane/apply.ts";
import { diff } from "../../src/dataplane/diff.ts";
import { withPlaces } from "../../src/dataplane/places.ts";
import { probeLinks, probeQueues } from "../../src/dataplane/probe.ts";
import { listOwnedLinks, removeLink, removeUnclaimed } from "../../src/dataplane/remove.ts";
import { ownerOf, ownerPrefixOf } from "../../src/identity/attachment.ts";
import type { Logger } from "../../src/log/logger.ts";
import { chained } from "../../src/plugin/chained.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { notReady } from "../../src/plugin/not-ready.ts";
import { definePlugin } from "../../src/plugin/plugin.ts";
import { openSandbox } from "../../src/plugin/sandbox.ts";
import { runEvery } from "../../src/plugin/steps.ts";
import { type BandwidthConf, parseConf } from "./conf.ts";
import { hostInterfaceOf } from "./host-interface.ts";
import { ifbName, isIfbName, planShaping, withRoom } from "./shaping.ts";

const born = { kind: "ifb" } as const;

export default definePlugin<BandwidthConf>({
  name: "bandwidth",
  parseConf,
  records: true,

  add({ attachment, conf, netns, prevResult }, { sys, log, undo, record }) {
    const passed = chained("bandwidth", prevResult);
    if (!limits(conf)) return passed;
    const ifb = ifbName(attachment);
    const applied = withPlaces({ sys, sandbox: openSandbox(sys, netns) }, (places) => {
      const { name: hostInterface, mtu } = hostInterfaceOf(places, attachment.ifname, passed);
      warnOfRaised(conf, mtu, log);
      const plan = { owner: ownerOf(attachment), resources: planShaping(conf, { hostInterface, mtu, ifb }) };
      record();
      return apply(plan, places.scene, { places });
    });
    undo("remove the limits", () => applied.undo());
    if (conf.egress === undefined) return passed;
    const mac = applied.links.get(`host:${ifb}`)?.mac;
    const others = (passed.interfaces ?? []).filter(({ name, sandbox }) => name !== ifb || sandbox);
    return { ...passed, interfaces: [...others, { name: ifb, ...(mac === undefined ? {} : { mac }) }] };
  },

  check({ attachment, conf, netns, prevResult }, { sys }) {
    if (!limits(conf)) return;
    const scene = { sys, sandbox: openSandbox(sys, netns) };
    const ifb = ifbName(attachment);
    const { name: hostInterface, mtu } = withPlaces(scene, (places) =>
      hostInterfaceOf(places, attachment.ifname, prevResult),
    );
    const plan = { owner: ownerOf(attachment), resources: planShaping(conf, { hostInterface, mtu, ifb }) };
    refuseDifferences(`the limits of "${attachment.ifname}"`, diff(plan, scene));
  },

  del({ attachment }, { sys }) {
    const link = {
      place: "host",
      name: ifbName(attachment),
      owner: ownerOf(attachment),
      born,
    } as const;
    removeLink({ sys }, link);
  },

  gc({ network, valid }, { sys }) {
    const owners = new Set(valid.map((attachment) => ownerOf({ network, ...attachment })));
    const stale = listOwnedLinks({ sys }, ownerPrefixOf(network)).filter(
      ({ kind, owner }) => kind === "ifb" && !owners.has(owner),
    );
    runEvery([
      ...stale.map(
        ({ name, owner }) =>
          () =>
            void removeLink({ sys }, { place: "host", name, owner }),
      ),
      // What says whose it is was not written yet: DEL knows it by its name, GC by its state.
      () => removeUnclaimed({ sys }, isIfbName, born),
    ]);
  },

  status(_request, { sys }) {
    notReady(() => {
      probeLinks(sys, ["ifb"]);
      probeQueues(sys);
    });
  },
});

function limits({ ingress, egress }: BandwidthConf): boolean {
  return ingress !== undefined || egress !== undefined;
}

/** A runtime that asks for a burst below a packet gets a limit that works rather than no pod. */
function warnOfRaised(conf: BandwidthConf, mtu: number, log: Logger): void {
  for (const direction of ["ingress", "egress"] as const) {
    const limit = conf[direction];
    const raised = limit && withRoom(limit, mtu).burstBytes;
    if (raised === limit?.burstBytes) continue;
    log.warning("a burst below the size of a packet would let none pass: it is raised", () => ({
      direction,
      askedBits: 8 * (limit?.burstBytes ?? 0),
      burstBits: 8 * (raised ?? 0),
      mtu,
    }));
  }
}
