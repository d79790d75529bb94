/** The mount that a path is on, from /proc/self/mountinfo (proc(5)). */
import type { Sys } from "../../host/sys.ts";

export interface Mount {
  readonly point: string;
  /** As the kernel prints it: `0:26`. */
  readonly device: string;
  /** Of the file system: `tmpfs`. */
  readonly type: string;
}

const none: Mount = { point: "", device: "", type: "" };

/** The mount with the longest mount point above the path. */
export function mountOf(sys: Sys, path: string): Mount {
  const mounts = sys
    .readFile("/proc/self/mountinfo")
    .split("\n")
    .flatMap((line) => {
      const [before = "", after = ""] = line.split(" - ");
      const [, , device, , point] = before.split(" ");
      const [type] = after.split(" ");
      return device === undefined || point === undefined || type === undefined ? [] : [{ point, device, type }];
    })
    .filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`));
  // A later mount on the same point hides the earlier.
  return mounts.reduce((best, one) => (one.point.length >= best.point.length ? one : best), none);
}
