/** The mounts that paths are on, from /proc/self/mountinfo (proc(5)). */
import type { Sys } from "../../host/sys.ts";

export interface Mount {
  readonly point: string;
  /** As the kernel prints it: `0:26`. */
  readonly device: string;
  /** Of the file system: `tmpfs`. */
  readonly type: string;
}

const none: Mount = { point: "", device: "", type: "" };

/** The mounts as they are now; the function returns the one with the longest mount point above a path. */
export function readMounts(sys: Sys): (path: string) => Mount {
  const all = sys
    .readFile("/proc/self/mountinfo")
    .split("\n")
    .flatMap((line): readonly Mount[] => {
      const [before = "", after = ""] = line.split(" - ");
      const [, , device, , point] = before.split(" ");
      const [type] = after.split(" ");
      return device === undefined || point === undefined || type === undefined ? [] : [{ point, device, type }];
    });
  return (path) => {
    const above = all.filter(({ point }) => point === "/" || path === point || path.startsWith(`${point}/`));
    // A later mount on the same point hides the earlier.
    return above.reduce((best, one) => (one.point.length >= best.point.length ? one : best), none);
  };
}
