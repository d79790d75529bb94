/** The sandbox that CNI_NETNS names, checked before anything is done. */
import type { Environment } from "../cni/environment.ts";
import { CniError, code } from "../cni/error.ts";
import { isErrno, type Netns, type Sys } from "../host/sys.ts";

/**
 * Throws `CniError` 8 when CNI_NETNS is the plugin's own namespace (unless CNI_NETNS_OVERRIDE): it would take the node's own
 * interfaces for the container's. A path that leads to no network namespace is an error (3, 4) only where it must be there.
 */
export function refuseOwnNetns(sys: Sys, environment: Environment, presence: "must be there" | "may be gone"): void {
  const { netns: path, netnsOverride } = environment;
  const netns = presence === "may be gone" ? findSandbox(sys, path) : openSandbox(sys, path);
  if (netns !== undefined && isOwn(sys, netns) && !netnsOverride) {
    throw new CniError(code.sameNetns, "plugin's netns and netns from CNI_NETNS should not be the same", path);
  }
}

/**
 * The path of DEL's sandbox; `undefined` where there is none any more. A path by a process's ID leads to the node's own namespace when the ID
 * is another process's by now: DEL has nothing to do there, and needs no sandbox for the rest.
 */
export function sandboxAtDel(
  sys: Sys,
  { netns: path, netnsOverride }: Pick<Environment, "netns" | "netnsOverride">,
): string | undefined {
  try {
    const netns = path === "" ? undefined : findSandbox(sys, path);
    return netns === undefined || (isOwn(sys, netns) && !netnsOverride) ? undefined : path;
  } catch {
    // What cannot be told from the own namespace is not touched.
    return undefined;
  }
}

/** Closes it. */
function isOwn(sys: Sys, netns: Netns): boolean {
  try {
    const own = sys.ownNetns();
    return netns.device === own.device && netns.inode === own.inode;
  } finally {
    sys.closeNetns(netns);
  }
}

/** Throws `CniError` 3 when there is nothing, 4 when it is something else. */
export function openSandbox(sys: Sys, path: string): Netns {
  try {
    return sys.openNetns(path);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

/** `undefined` when it cannot be opened: it is gone, or of its mount point an empty file is left. */
export function findSandbox(sys: Sys, path: string): Netns | undefined {
  try {
    return sys.openNetns(path);
  } catch {
    return undefined;
  }
}

function cannotOpen(path: string, error: unknown): unknown {
  const refused = `cannot open network namespace "${path}" of CNI_NETNS`;
  if (isErrno(error, "ENOENT", "ENOTDIR")) return new CniError(code.unknownContainer, `${refused}: it does not exist`);
  if (isErrno(error, "EINVAL")) return new CniError(code.badEnvironment, `${refused}: it is not a network namespace`);
  return isErrno(error) || error instanceof Error ? new CniError(code.io, `${refused}: ${error.message}`) : error;
}
