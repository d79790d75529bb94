/** The part of a node's snapshot that must be the same after a shell's commands and after netlink requests. */
import type { Node } from "./netns.ts";
import { snapshot } from "./snapshot.ts";

/** Without files, and without random values and their consequences: the MAC addresses of the uplink and of ifb links. */
export function kernelStateOf(node: Node, pod?: string): string {
  return snapshot(node, pod === undefined ? {} : { in: pod })
    .split("\n")
    .filter((line) => !/"(ifname|dev)":"uplink"/.test(line) && !/^file /.test(line))
    .map((line) =>
      /"(bwp|veth[0-9a-f]{8}")/.test(line) ? line.replace(/"address":"[^"]*"|fe80::[0-9a-f:]+/g, "(random)") : line,
    )
    .join("\n");
}
