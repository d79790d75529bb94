/**
 * The lock of the embedded store: one flock(2) for the node, held around a transaction.
 *
 * The wait ends early enough to leave time for the work (`plugin/deadline.ts`). The kernel releases the lock of a killed process, and the next
 * holder removes the unfinished file.
 */
import { CoreError } from "../../errors/core-error.ts";
import { type FileLock, isErrno, type Sys } from "../../host/sys.ts";
import { runDir } from "../../identity/names.ts";
import type { Store } from "../transaction.ts";
import { LockError, LockTimeout } from "./lock-error.ts";
import { holderOf } from "./lock-holder.ts";
import { type FileStoreOptions, fileStore } from "./store.ts";
import { trustStateDirectories } from "./trust.ts";
import { sweepLeftovers } from "./upkeep.ts";

/** Never change: releases that run side by side exclude each other with it. */
export const storeLock = `${runDir}/ipam.lock`;

export interface LockOptions extends FileStoreOptions {
  /** `ipam_lock_file`: taken before ours, to exclude other programs that use it. */
  readonly outerLock?: string | undefined;
  readonly timeoutMs?: number;
}

/** Out of the 50 s of an operation. */
const defaultTimeoutMs = 40_000;
const addressStore = "the datastore";

/** Runs `body` with the store locked. Throws `LockTimeout` if another process holds the lock too long, `LockError` if it cannot be created. */
export function withFileStore<T>(sys: Sys, options: LockOptions, body: (store: Store) => T): T {
  const { outerLock, timeoutMs = defaultTimeoutMs } = options;
  trustStateDirectories(sys);
  const outer =
    outerLock === undefined || outerLock === storeLock ? undefined : takeLock(sys, outerLock, addressStore, timeoutMs);
  try {
    const own = takeLock(sys, storeLock, addressStore, timeoutMs);
    try {
      if (own.abandoned) sweepLeftovers(sys);
      return body(fileStore(sys, options));
    } finally {
      sys.unlock(own);
    }
  } finally {
    if (outer !== undefined) sys.unlock(outer);
  }
}

/**
 * Takes a lock, and creates its directory if missing. `what` follows "cannot lock". Throws `LockTimeout`, which names the holder, and
 * `LockError` if the lock file cannot be created.
 */
export function takeLock(sys: Sys, path: string, what: string, timeoutMs = defaultTimeoutMs): FileLock {
  const start = sys.monotonicMs();
  try {
    try {
      return sys.lock(path, "exclusive", timeoutMs);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
      sys.makeDirs(path.slice(0, Math.max(1, path.lastIndexOf("/"))), 0o700);
      return sys.lock(path, "exclusive", timeoutMs);
    }
  } catch (error) {
    if (isErrno(error, "ETIMEDOUT") || (error instanceof CoreError && error.kind === "timeout")) {
      throw new LockTimeout({ what, path, holder: holderOf(sys, path), waitedMs: sys.monotonicMs() - start });
    }
    throw new LockError(what, path, error);
  }
}
