import { isErrno, type Sys } from "./sys.ts";

/** The inodes of a process's open sockets (proc(5), `/proc/PID/fd`); none if it ended or permission is missing. */
export function socketsOf(pid: string, sys: Sys): readonly number[] {
  try {
    return sys.listDir(`/proc/${pid}/fd`).flatMap((fd) => {
      const found = sys.stat(`/proc/${pid}/fd/${fd}`);
      return found?.kind === "other" ? [found.inode] : [];
    });
  } catch (error) {
    // It ended, or permission is missing.
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return [];
    throw error;
  }
}
