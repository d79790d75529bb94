/** Reports a wait for a lock: a command that prints nothing for 40 seconds seems to hang. */
import { isErrno, type Sys } from "../host/sys.ts";
import { holderOf } from "../store/file/lock-holder.ts";

const quietMs = 2000;

/** Like `sys.lock`, but prints the holder once if the lock is not free after two seconds. */
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
