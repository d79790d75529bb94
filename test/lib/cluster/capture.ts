/** Captures packets at several places of nodes at once, with tcpdump. */

import { once } from "node:events";
import type { Node } from "../node/netns.ts";

export interface Capture {
  /** Its lines so far, with MAC addresses, without times. */
  lines(): readonly string[];
  stop(): Promise<void>;
}

/** Begins before it returns. `spot`: a pod; `undefined`: the node. */
export async function capture(node: Node, spot: string | undefined, link: string, filter: string): Promise<Capture> {
  const argv = ["tcpdump", "-i", link, "-n", "-t", "-e", "-l", "-v", "-Z", "root", filter];
  const child = node.start(argv, spot === undefined ? {} : { in: spot });
  let text = "";
  let complaint = "";
  child.stdout?.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  await new Promise<void>((resolve, reject) => {
    child.stderr?.setEncoding("utf8").on("data", (more: string) => {
      complaint += more;
      if (complaint.includes("listening on")) resolve();
    });
    child.once("exit", () => reject(new Error(`tcpdump ended: ${complaint}`)));
  });
  return {
    // -v prints the headers of a packet on lines of their own, indented, and what a VXLAN packet contains on the next ones.
    lines: () =>
      text
        .trim()
        .replaceAll(/(vni \d+)\n/g, "$1 ")
        .split(/\n(?=\S)/)
        .map((line) => line.replaceAll(/\s+/g, " ")),
    async stop() {
      const ended = once(child, "exit");
      child.kill("SIGINT");
      await ended;
    },
  };
}
