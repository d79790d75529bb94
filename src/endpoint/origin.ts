/**
 * Where an ADD ran: the namespaces in which a record is valid. The path of a sandbox leads to it in this mount namespace, and the host
 * interface is in this network namespace; from others, something missing proves nothing.
 */
import type { Sys } from "../host/sys.ts";

/** Inode numbers of the namespaces, as in `/proc/self/ns`: unique among existing ones. */
export interface Origin {
  readonly mount: number;
  readonly net: number;
}

/** `undefined` without /proc. */
export function originOf(sys: Sys): Origin | undefined {
  const mount = sys.stat("/proc/self/ns/mnt")?.inode;
  return mount === undefined ? undefined : { mount, net: sys.ownNetns().inode };
}

/** `mnt:[4026531841] net:[4026531840]`: the format of `readlink /proc/self/ns/*`. */
export function formatOrigin({ mount, net }: Origin): string {
  return `mnt:[${mount}] net:[${net}]`;
}

export function parseOrigin(text: unknown): Origin | undefined {
  const [, mount, net] = /^mnt:\[(\d+)\] net:\[(\d+)\]$/.exec(String(text)) ?? [];
  return mount === undefined ? undefined : { mount: Number(mount), net: Number(net) };
}
