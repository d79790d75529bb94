/** The sandbox in CNI_NETNS, checked before any change. */
import type { Environment } from "../cni/environment.ts";
import { CniError, code } from "../cni/error.ts";
import { withExecutor } from "../dataplane/executor.ts";
import { isErrno, type Netns, type Sys } from "../host/sys.ts";

/**
 * Throws `CniError` 8 if CNI_NETNS is the plugin's own namespace (unless CNI_NETNS_OVERRIDE is set): the plugin would mistake the node's
 * interfaces for the container's. A path that is not a network namespace is an error (3, 4) only if the sandbox must exist.
 */
export function refuseOwnNetns(sys: Sys, environment: Environment, presence: "must be there" | "may be gone"): void {
  const { netns: path, netnsOverride } = environment;
  const netns = presence === "may be gone" ? findSandbox(sys, path) : openSandbox(sys, path);
  if (netns !== undefined && isOwn(sys, netns) && !netnsOverride) {
    throw new CniError(code.sameNetns, "plugin's netns and netns from CNI_NETNS should not be the same", path);
  }
}

/**
 * The path of DEL's sandbox; `undefined` if it is gone. A path with a process ID leads to the node's own namespace if another process has the ID by
 * now: DEL must not touch that, and needs no sandbox for the rest.
 */
export function sandboxAtDel(
  sys: Sys,
  { netns: path, netnsOverride }: Pick<Environment, "netns" | "netnsOverride">,
): string | undefined {
  try {
    const netns = path === "" ? undefined : findSandbox(sys, path);
    return netns === undefined || (isOwn(sys, netns) && !netnsOverride) ? undefined : path;
  } catch {
    // If it cannot be distinguished from our own namespace, it is not touched.
    return undefined;
  }
}

/** Closes `netns`. */
function isOwn(sys: Sys, netns: Netns): boolean {
  try {
    const own = sys.ownNetns();
    return netns.device === own.device && netns.inode === own.inode;
  } finally {
    sys.closeNetns(netns);
  }
}

/** Throws `CniError` 3 if the path does not exist, 4 if it is not a network namespace. */
export function openSandbox(sys: Sys, path: string): Netns {
  try {
    return sys.openNetns(path);
  } catch (error) {
    throw cannotOpen(path, error);
  }
}

/** Runs `body` with an executor in the sandbox at DEL and GC; `undefined` if the path is absent or leads to no network namespace. */
export function inSandboxAt<T>(
  sys: Sys,
  path: string | undefined,
  body: Parameters<typeof withExecutor<T>>[2],
): T | undefined {
  const netns = path === undefined ? undefined : findSandbox(sys, path);
  if (netns === undefined) return undefined;
  try {
    return withExecutor(sys, netns, body);
  } finally {
    // GC opens the sandboxes of all lost attachments, which may be more than a process may have open.
    sys.closeNetns(netns);
  }
}

/** `undefined` if it cannot be opened: it is gone, or only the empty file of its mount point is left. */
function findSandbox(sys: Sys, path: string): Netns | undefined {
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
