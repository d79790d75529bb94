/** Captures packets at several places of nodes at once, with tcpdump. */

import { once } from "node:events";
import { expect } from "vitest";
import type { Node } from "../node/netns.ts";
import { patience } from "../patience.ts";

interface Capture {
  /** Its lines so far, with MAC addresses, without times. */
  lines(): readonly string[];
  stop(): Promise<void>;
}

/** Where packets are captured. */
export interface Tap {
  readonly node: Node;
  /** In its sandbox; absent: on the node itself. */
  readonly pod?: string;
  readonly link: string;
  /** Of tcpdump. */
  readonly filter: string;
}

/** What each tap shows of a ping that `send` sends, after each has shown the reply. */
export async function capturePing(taps: readonly Tap[], send: () => void): Promise<readonly (readonly string[])[]> {
  const captures = await Promise.all(taps.map(capture));
  send();
  const areComplete = () => captures.every((one) => one.lines().some((line) => line.includes("echo reply")));
  await expect.poll(areComplete, { timeout: 30_000 * patience, interval: 200 }).toBe(true);
  await Promise.all(captures.map((one) => one.stop()));
  return captures.map((one) => one.lines());
}

/** The line of the request among those of a ping. */
export function requestIn(lines: readonly string[]): string {
  return lines.find((line) => line.includes("echo request")) ?? "";
}

/** Begins before it returns. */
async function capture({ node, pod, link, filter }: Tap): Promise<Capture> {
  const argv = ["tcpdump", "-i", link, "-n", "-t", "-e", "-l", "-v", "-Z", "root", filter];
  const child = node.start(argv, pod === undefined ? {} : { in: pod });
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
