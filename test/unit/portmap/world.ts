/** Shared by the tests of `portmap`: attachments, configurations, one call of the plugin. */
import portmap from "../../../plugins/portmap/main.ts";
import type { Result } from "../../../src/cni/result.ts";
import { writePart } from "../../../src/endpoint/part.ts";
import type { Sys } from "../../../src/host/sys.ts";
import type { Attachment } from "../../../src/identity/attachment.ts";
import type { Logger } from "../../../src/log/logger.ts";
import type { Context } from "../../../src/plugin/plugin.ts";

export interface Port {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostIP?: string;
}

export const c1: Attachment = { network: "net1", containerId: "c1", ifname: "eth0" };
export const c2: Attachment = { network: "net1", containerId: "c2", ifname: "eth0" };

export const web: Port = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
export const dns: Port = { hostPort: 5353, containerPort: 53, protocol: "udp" };

export function document(ports: readonly Port[], extra: object = {}): { readonly [key: string]: unknown } {
  return { cniVersion: "1.1.0", name: "net1", type: "portmap", ...extra, runtimeConfig: { portMappings: ports } };
}

export function resultOf(...addresses: readonly string[]): Result {
  return {
    interfaces: [{ name: "cali1" }, { name: "eth0", sandbox: "/run/netns/x" }],
    ips: addresses.map((address) => ({ address, interface: 1 })),
  };
}

const quiet: Logger = { with: () => quiet, debug: () => {}, info: () => {}, warning: () => {}, error: () => {} };

/** Keeps the warnings, each with its fields. */
export function loggerTo(warnings: unknown[]): Logger {
  const warning: Logger["warning"] = (message, fields) => void warnings.push({ message, ...fields?.() });
  return { ...quiet, with: () => loggerTo(warnings), warning };
}

/** The operations on one `Sys`; if `add` fails it runs the registered roll-back, as `runPlugin` does. */
export function portmapOn(sys: Sys, log: Logger = quiet) {
  const undo: (() => void)[] = [];
  const context: Context = { sys, log, undo: (_, action) => void undo.push(action), record: () => {} };
  const base = (attachment: Attachment, json: { readonly [key: string]: unknown }) => ({
    cniVersion: "1.1.0" as const,
    network: attachment.network,
    document: json,
    text: JSON.stringify(json),
    path: [],
    args: {},
    attachment,
    netns: "/run/netns/x",
  });
  return {
    add(attachment: Attachment, ports: readonly Port[], prevResult: Result, extra: object = {}): Result {
      const json = document(ports, extra);
      undo.length = 0;
      const request = { ...base(attachment, json), conf: portmap.parseConf(json), prevResult };
      const record = () => void writePart(sys, { ...request, type: "portmap", args: "" });
      return portmap.add(request, { ...context, record });
    },
    check(attachment: Attachment, ports: readonly Port[], prevResult: Result, extra: object = {}): void {
      const json = document(ports, extra);
      portmap.check({ ...base(attachment, json), conf: portmap.parseConf(json), prevResult }, context);
    },
    del(attachment: Attachment, extra: object = {}): void {
      const json = document([], extra);
      portmap.del({ ...base(attachment, json), netns: undefined, conf: undefined, prevResult: undefined }, context);
    },
    gc(network: string, valid: readonly { containerId: string; ifname: string }[]): void {
      const json = document([]);
      portmap.gc({ ...base({ ...c1, network }, json), conf: undefined, valid }, context);
    },
    takeBack(): void {
      for (const action of undo.reverse()) action();
    },
  };
}
