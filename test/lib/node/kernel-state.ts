/** What of a node's snapshot a shell and netlink must agree on. */
import type { Node } from "./netns.ts";
import { snapshot } from "./snapshot.ts";

/** Without files, and without what the kernel draws by lot: the MAC addresses of the uplink and of an ifb, and what it makes of them. */
export function kernelStateOf(node: Node, pod?: string): string {
  return snapshot(node, pod === undefined ? {} : { in: pod })
    .split("\n")
    .filter((line) => !/"(ifname|dev)":"uplink"/.test(line) && !/^file /.test(line))
    .map((line) =>
      /"(bwp|veth[0-9a-f]{8}")/.test(line) ? line.replace(/"address":"[^"]*"|fe80::[0-9a-f:]+/g, "(random)") : line,
    )
    .join("\n");
}
