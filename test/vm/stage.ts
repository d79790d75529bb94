/** The shared state of one guest's tests: the guest, a runtime on it, pods, and their requests. */
import { expect } from "vitest";
import { type Conflist, type JsonObject, loadConflist } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { nodeAddress4, nodeAddress6, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { serviceOf, waitForPort } from "../lib/node/traffic.ts";
import { Guest, guestPluginDir, type Kernel } from "../lib/runtimes/guest.ts";
import { PluginError, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example } from "../lib/suite.ts";

export const plain = loadConflist(example("10-calico.conflist"));
export const dual = loadConflist(example("10-calico-dual-stack.conflist"));
export const byIptables = withPortmap(dual, { backend: "iptables" });
export const families = {
  4: { node: nodeAddress4, outside: outsideAddress4 },
  6: { node: nodeAddress6, outside: outsideAddress6 },
};
export type Family = keyof typeof families;
export const megabit = 1e6;

/** Debian's two variants of the program. */
export const variants = ["nft", "legacy"] as const;

export interface Pod extends Sandbox {
  readonly name: string;
}

/** The guest under test. */
export const stage = {} as {
  guest: Guest;
  runner: Runner;
  /** The node's state before the pods of a test. */
  clean: string;
};

export function boot(kernel: Kernel): void {
  stage.guest = Guest.start(kernel);
  stage.runner = new Runner({ node: stage.guest, pluginDirs: [guestPluginDir] });
}

/** A pod's requests; without them the plugins would not need the missing feature. */
export function requests(hostPort: number): JsonObject {
  return {
    portMappings: [
      { hostPort, containerPort: 80, protocol: "tcp" },
      { hostPort: hostPort + 1, containerPort: 53, protocol: "udp" },
    ],
    bandwidth: { ingressRate: 20 * megabit, ingressBurst: megabit, egressRate: 20 * megabit, egressBurst: megabit },
  };
}

export function newPod(name: string, capabilities: JsonObject = {}): Pod {
  return { name, containerId: `${name}-0a1b2c`, netns: stage.guest.addPod(name), ifname: "eth0", capabilities };
}

export function serve(spot: string, port: number): void {
  stage.guest.start(serviceOf(stage.guest, port, spot), { in: spot });
  waitForPort(stage.guest, spot, port);
}

export function useIptables(variant: (typeof variants)[number]): void {
  const programs = ["iptables", "ip6tables"].flatMap((name) => ["", "-save", "-restore"].map((kind) => name + kind));
  stage.guest.sh(programs.map((name) => `ln -sfn xtables-${variant}-multi /usr/sbin/${name}`).join("\n"));
}

export function refusal(action: () => unknown): PluginError {
  try {
    action();
  } catch (error) {
    if (error instanceof PluginError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** The module ifb creates two links when it is loaded. */
export const ofModules = /\bifb[01]\b/;

export function expectClean(but?: RegExp): void {
  const left = leaks(diff(stage.clean, snapshot(stage.guest))).filter((line) => !but?.test(line));
  expect(left.join("\n")).toBe("");
}

function withPortmap(list: Conflist, more: JsonObject): Conflist {
  return { ...list, plugins: list.plugins.map((each) => (each.type === "portmap" ? { ...each, ...more } : each)) };
}
