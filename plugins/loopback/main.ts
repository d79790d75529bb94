/**
 * `loopback`: sets a sandbox's `lo` up, whatever CNI_IFNAME says.
 *
 *     first in its list    answers with lo and the addresses that the kernel gave it
 *     after others         passes their result on unchanged
 *
 * containerd runs it for every pod, at the same time as the plugins of `eth0`, by a list of its own (`cni-loopback`, version 0.3.1).
 */
import { diff } from "../../src/dataplane/diff.ts";
import { withPlaces } from "../../src/dataplane/places.ts";
import { lowerLink, raiseLink } from "../../src/dataplane/raise.ts";
import { ownerOf } from "../../src/identity/attachment.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { definePlugin } from "../../src/plugin/plugin.ts";
import { findSandbox, openSandbox } from "../../src/plugin/sandbox.ts";
import { parseConf } from "./conf.ts";
import { addressesIn, addressesOfLo, findLo, lo, planLo } from "./lo.ts";

export default definePlugin({
  name: "loopback",
  parseConf,

  add({ attachment, netns, prevResult }, { sys, undo }) {
    const scene = { sys, sandbox: openSandbox(sys, netns) };
    const claim = { place: "sandbox", name: lo, owner: ownerOf(attachment) } as const;
    const addresses = withPlaces(scene, (places) => {
      const found = findLo(places);
      if (!found.up) {
        undo(`set ${lo} down`, () => withPlaces(scene, (others) => lowerLink(others, claim)));
        raiseLink(places, claim);
      }
      return addressesOfLo(places, found.index);
    });
    if (prevResult !== undefined) return prevResult;
    return {
      interfaces: [{ name: lo, mac: "00:00:00:00:00:00", sandbox: netns }],
      ips: addresses.map((address) => ({ address, interface: 0 })),
    };
  },

  check({ attachment, netns, prevResult }, { sys }) {
    const plan = { owner: ownerOf(attachment), resources: planLo(addressesIn(prevResult, netns)) };
    refuseDifferences(`"${lo}"`, diff(plan, { sys, sandbox: openSandbox(sys, netns) }));
  },

  del({ attachment, netns }, { sys }) {
    const sandbox = netns === undefined ? undefined : findSandbox(sys, netns);
    if (sandbox === undefined) return;
    const claim = { place: "sandbox", name: lo, owner: ownerOf(attachment) } as const;
    withPlaces({ sys, sandbox }, (places) => lowerLink(places, claim));
  },

  gc() {
    // What lo is goes with its sandbox.
  },

  status() {
    // Every kernel has a loopback.
  },
});
