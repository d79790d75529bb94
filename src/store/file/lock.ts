/**
 * The lock of the embedded store: one flock(2) for the node, held around a transaction.
 *
 * The wait for it ends early enough to leave the work its time (`plugin/deadline.ts`). The kernel frees the lock of a killed process, and
 * the next one to get it clears away the file that was being written.
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

/** Never change: releases that run side by side lock each other out by it. */
export const storeLock = `${runDir}/ipam.lock`;

export interface LockOptions extends FileStoreOptions {
  /** `ipam_lock_file`: taken before ours, to keep out whoever else uses it. */
  readonly outerLock?: string | undefined;
  readonly timeoutMs?: number;
}

/** Of the 50 s that an operation has. */
const defaultTimeoutMs = 40_000;
const addressStore = "the datastore";

/** Runs `body` with the store locked. Throws `LockTimeout` when the lock stays taken, `LockError` when it cannot be made. */
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
 * Takes a lock, whose directory is made when it is missing. `what` reads after "cannot lock". Throws `LockTimeout`, which names the holder,
 * when it stays taken, `LockError` when it cannot be made.
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
