/**
 * The lock of the embedded store: one flock(2) for the node, held around a transaction.
 *
 * **Lock first, then start the clock**: what waits here does not eat the time of the work. The kernel frees the lock of a killed process, and
 * the next one to get it clears away the file that was being written.
 */
import { CniError, code } from "../cni/error.ts";
import { type FileLock, isErrno, type Sys } from "../host/sys.ts";
import { runDir } from "../plan/names.ts";
import { type FileStoreOptions, fileStore } from "./file.ts";
import type { Store } from "./transaction.ts";
import { sweepLeftovers } from "./upkeep.ts";

/** Never change: releases that run side by side lock each other out by it. */
export const storeLock = `${runDir}/ipam.lock`;

export interface LockOptions extends FileStoreOptions {
  /** `ipam_lock_file`: taken before ours, to keep out whoever else uses it. */
  readonly outerLock?: string | undefined;
  readonly timeoutMs?: number;
}

/** A runtime gives a pod two minutes at least (kubelet's `--runtime-request-timeout`); others wait behind us. */
const defaultTimeoutMs = 60_000;

/** Runs `body` with the store locked. Throws `CniError` 11 when the lock stays taken, 103 when it cannot be made. */
export function withFileStore<T>(sys: Sys, options: LockOptions, body: (store: Store) => T): T {
  const { outerLock, timeoutMs = defaultTimeoutMs } = options;
  const outer = outerLock === undefined || outerLock === storeLock ? undefined : takeLock(sys, outerLock, timeoutMs);
  try {
    const own = takeLock(sys, storeLock, timeoutMs);
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

function takeLock(sys: Sys, path: string, timeoutMs: number): FileLock {
  try {
    try {
      return sys.lock(path, "exclusive", timeoutMs);
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
      sys.makeDirs(path.slice(0, Math.max(1, path.lastIndexOf("/"))), 0o700);
      return sys.lock(path, "exclusive", timeoutMs);
    }
  } catch (error) {
    if (isErrno(error, "ETIMEDOUT")) {
      throw new CniError(
        code.tryAgainLater,
        `cannot lock the address store: "${path}" is still held by another process after ${timeoutMs / 1000} s`,
      );
    }
    throw new CniError(
      code.datastore,
      `cannot lock the address store: ${error instanceof Error ? error.message : error}`,
    );
  }
}
