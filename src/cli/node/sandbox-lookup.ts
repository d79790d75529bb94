/**
 * What can be seen of the node's sandboxes from where this command runs.
 *
 * **That something is not seen proves nothing by itself.** A path leads to a sandbox in the mount namespace that the runtime's plugins ran in;
 * a command in a container, or on a node whose runtime has a mount namespace of its own, sees other paths.
 *
 *     where the record says that ADD ran      the path is looked up
 *     in this mount namespace                 as it is
 *     in that of a process that is seen       by /proc/<PID>/root
 *     anywhere else                           not at all: `unseen`
 */
import { type Origin, originOf } from "../../endpoint/origin.ts";
import type { Sys } from "../../host/sys.ts";
import type { Sandbox } from "../../ipam/check/report.ts";
import type { Process } from "./processes.ts";

/** A sandbox's path as a record has it, and where that was written. */
export interface SandboxRef {
  readonly netns: string;
  readonly origin?: Origin | undefined;
}

export interface SandboxLookup {
  /** Where this command runs. */
  readonly here: Origin | undefined;
  /** Where the sandbox's path is found from here; `undefined` where it cannot be looked up. */
  pathOf(ref: SandboxRef): string | undefined;
  sandboxOf(ref: SandboxRef): Sandbox;
}

export function sandboxLookup(sys: Sys, processes: readonly Process[]): SandboxLookup {
  const here = originOf(sys);
  const isWhole = isWholeNode(processes, here);
  const pathOf = ({ netns, origin }: SandboxRef): string | undefined => {
    if (origin === undefined) return netns;
    if (origin.net !== here?.net) return undefined;
    if (origin.mount === here.mount) return netns;
    const there = processes.find(({ mount }) => mount === origin.mount);
    return there === undefined ? undefined : `/proc/${there.pid}/root${netns}`;
  };
  return {
    here,
    pathOf,
    sandboxOf(ref) {
      const path = pathOf(ref);
      const inode = path === undefined ? undefined : namespaceAt(sys, path);
      // The node's own namespace is nobody's sandbox: a process's number was given to another.
      if (inode !== undefined && inode !== here?.net) return "there";
      return path !== undefined && (ref.origin !== undefined || isWhole) ? "gone" : "unseen";
    },
  };
}

/**
 * The inode of the namespace at a path; `undefined` when there is none. A file of another file system is what is left when a namespace was
 * unmounted.
 */
export function namespaceAt(sys: Sys, path: string): number | undefined {
  const stat = path === "" ? undefined : sys.stat(path);
  return stat !== undefined && stat.device === sys.ownNetns().device ? stat.inode : undefined;
}

/**
 * Whether these are all processes of the machine, and its first has this very mount namespace: what records of earlier releases, which do not
 * say where they were written, are checked by. The second process of the first process namespace is the kernel's own, on every machine.
 */
function isWholeNode(processes: readonly Process[], here: Origin | undefined): boolean {
  const first = processes.find(({ pid }) => pid === 1);
  const second = processes.find(({ pid }) => pid === 2);
  return second?.name === "kthreadd" && first?.mount !== undefined && first.mount === here?.mount;
}
