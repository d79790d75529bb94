/** The wait for a lock, told: a command that is silent for 40 seconds looks as if it hung. */
import { isErrno, type Sys } from "../host/sys.ts";
import { holderOf } from "../store/file/lock-holder.ts";

const quietMs = 2000;

/** `sys.lock`, which tells once who holds the lock when it is not free after two seconds. */
export function reportingLock(sys: Sys, note: (line: string) => void): Sys["lock"] {
  return (path, mode, timeoutMs) => {
    if (timeoutMs <= quietMs) return sys.lock(path, mode, timeoutMs);
    try {
      return sys.lock(path, mode, quietMs);
    } catch (error) {
      if (!isErrno(error, "ETIMEDOUT")) throw error;
      const seconds = Math.round((timeoutMs - quietMs) / 1000);
      note(`tortie: waiting for "${path}", which ${holderOf(sys, path)} holds; for ${seconds} s more`);
      return sys.lock(path, mode, timeoutMs - quietMs);
    }
  };
}
