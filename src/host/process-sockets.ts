import { isErrno, type Sys } from "./sys.ts";

/** The inodes of the sockets that a process has open (proc(5), `/proc/PID/fd`); none where it has ended or may not be looked into. */
export function socketsOf(pid: string, sys: Sys): readonly number[] {
  try {
    return sys.listDir(`/proc/${pid}/fd`).flatMap((fd) => {
      const found = sys.stat(`/proc/${pid}/fd/${fd}`);
      return found?.kind === "other" ? [found.inode] : [];
    });
  } catch (error) {
    // It has ended, or is not ours to look into.
    if (isErrno(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return [];
    throw error;
  }
}
