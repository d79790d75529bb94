/**
 * `loopback`: sets a sandbox's `lo` up, whatever CNI_IFNAME says.
 *
 *     first in its list    answers with lo and the addresses that the kernel gave it
 *     after others         passes their result on unchanged
 *
 * containerd runs it for every pod, concurrently with the plugins of `eth0`, from a list of its own (`cni-loopback`, version 0.3.1).
 */
import { withExecutor } from "../../src/dataplane/executor.ts";
import { ownerOf } from "../../src/identity/attachment.ts";
import { refuseDifferences } from "../../src/plugin/differences.ts";
import { removalOf } from "../../src/plugin/owned.ts";
import { definePlugin } from "../../src/plugin/plugin.ts";
import { openSandbox } from "../../src/plugin/sandbox.ts";
import { parseConf } from "./conf.ts";
import { addressesIn, addressesOfLo, findLo, lo, planLo } from "./lo.ts";

export default definePlugin({
  name: "loopback",
  parseConf,

  add({ attachment, netns, prevResult }, { sys, undo }) {
    const addresses = withExecutor(sys, openSandbox(sys, netns), (executor, facts) => {
      const found = findLo(facts);
      if (!found.up) {
        const applied = executor.apply({ owner: ownerOf(attachment), resources: planLo([], { claim: true }) });
        undo(`set ${lo} down`, () => applied.undo());
      }
      return addressesOfLo(facts, found.index);
    });
    if (prevResult !== undefined) return prevResult;
    return {
      interfaces: [{ name: lo, mac: "00:00:00:00:00:00", sandbox: netns }],
      ips: addresses.map((address) => ({ address, interface: 0 })),
    };
  },

  check({ attachment, netns, prevResult }, { sys }) {
    const resources = planLo(addressesIn(prevResult, netns), { claim: false });
    const plan = { owner: ownerOf(attachment), resources };
    refuseDifferences(
      `"${lo}"`,
      withExecutor(sys, openSandbox(sys, netns), (executor) => executor.diff(plan)),
    );
  },

  // GC has nothing to remove: `lo` ends with its sandbox.
  ...removalOf({ inSandbox: () => [{ kind: "up", at: "sandbox", link: lo }] }),

  status() {
    // Every kernel has a loopback interface.
  },
});
