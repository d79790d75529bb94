/** Finds the process that holds a flock(2), from /proc/locks, which shows holders in our PID namespace. */
import { isErrno, type Sys } from "../../host/sys.ts";

export interface HeldFile {
  /** Of its file system, in hexadecimal: `00:1a`. Files of two file systems may have one inode number. */
  readonly device: string;
  readonly inode: number;
  readonly pid: number;
}

/** `1: FLOCK  ADVISORY  WRITE 812 00:1a:4711 0 EOF`; a line with `->` is a waiting process. Empty without /proc. */
export function readLocks(sys: Sys): readonly HeldFile[] {
  let text: string;
  try {
    text = sys.readFile("/proc/locks");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
  return [...text.matchAll(/^\d+: FLOCK +\S+ +\S+ +(-?\d+) ([0-9a-f]+:[0-9a-f]+):(\d+) /gm)].map(
    ([, pid, device = "", inode]) => ({
      device,
      inode: Number(inode),
      pid: Number(pid),
    }),
  );
}

/** `process 812 (flock)`, or `another process`. Never throws. */
export function holderOf(sys: Sys, path: string): string {
  try {
    const inode = sys.stat(path)?.inode;
    const holder = readLocks(sys).find((lock) => lock.inode === inode);
    if (holder === undefined) return "another process";
    return `process ${holder.pid} (${sys.readFile(`/proc/${holder.pid}/comm`).trim()})`;
  } catch {
    return "another process";
  }
}
