/**
 * The executor's face: apply a plan (ADD), compare it with the kernel (CHECK), remove by name and owner (DEL, GC).
 */
import type { Netns, Sys } from "../host/sys.ts";

/** Where plans are applied: the process's own namespace is the host's. */
export interface Scene {
  readonly sys: Sys;
  /** The sandbox; absent when it is gone or none is needed (then no resource may be at `sandbox`). */
  readonly sandbox?: Netns;
}

/** What `apply` learned of the links it made. */
export interface Applied {
  /** MAC address and MTU as the kernel reports them, by `<place>:<name>`. */
  readonly links: ReadonlyMap<string, { readonly index: number; readonly mac: string; readonly mtu: number }>;
  /** Takes back what this call created, and only that. */
  undo(): void;
}
