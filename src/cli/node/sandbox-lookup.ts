/**
 * Which of the node's sandboxes are visible to this command.
 *
 * **A missing path alone proves nothing.** A path is valid in the mount namespace in which the runtime's plugins ran; a command in a container,
 * or on a node whose runtime has its own mount namespace, sees other paths.
 *
 *     where ADD ran, by the record            how the path is looked up
 *     in this mount namespace                 as it is
 *     in that of a visible process            by /proc/<PID>/root
 *     anywhere else                           not at all: `unseen`
 */
import { type Origin, originOf } from "../../endpoint/origin.ts";
import type { Sys } from "../../host/sys.ts";
import type { Sandbox } from "../../ipam/check/report.ts";
import type { Process } from "./processes.ts";

/** A sandbox's path in a record, and where the record was written. */
export interface SandboxRef {
  readonly netns: string;
  readonly origin?: Origin | undefined;
}

export interface SandboxLookup {
  /** Where this command runs. */
  readonly here: Origin | undefined;
  /** The sandbox's path from here; `undefined` if it cannot be looked up. */
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
      // The node's own namespace is not a sandbox: the PID in the path was reused.
      if (inode !== undefined && inode !== here?.net) return "there";
      return path !== undefined && (ref.origin !== undefined || isWhole) ? "gone" : "unseen";
    },
  };
}

/**
 * The inode of the namespace at a path; `undefined` if there is none. After a namespace was unmounted, a file of another file system is left.
 */
export function namespaceAt(sys: Sys, path: string): number | undefined {
  const stat = path === "" ? undefined : sys.stat(path);
  return stat !== undefined && stat.device === sys.ownNetns().device ? stat.inode : undefined;
}

/**
 * Whether all processes of the machine are visible and PID 1 has this mount namespace. Records of earlier releases do not say where they were
 * written, and are valid only then. In the initial PID namespace, PID 2 is always kthreadd.
 */
function isWholeNode(processes: readonly Process[], here: Origin | undefined): boolean {
  const first = processes.find(({ pid }) => pid === 1);
  const second = processes.find(({ pid }) => pid === 2);
  return second?.name === "kthreadd" && first?.mount !== undefined && first.mount === here?.mount;
}
