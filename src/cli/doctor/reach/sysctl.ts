import { isErrno, type Sys } from "../../../host/sys.ts";
import { messageOf } from "../../error.ts";

/** The name of a sysctl for sysctl(8), from its path below /proc/sys: dots for slashes, unless an interface's name contains dots (`eth0.100`). */
export function sysctlName(path: string): string {
  return path.includes(".") ? path : path.replaceAll("/", ".");
}

/** By path below /proc/sys; those that the kernel does not have are missing. */
export function readSysctls(sys: Sys, paths: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    paths.flatMap((path) => {
      try {
        return [[path, sys.readFile(`/proc/sys/${path}`).trim()] as const];
      } catch (error) {
        if (isErrno(error, "ENOENT")) return [];
        throw new Error(`cannot read /proc/sys/${path}: ${messageOf(error)}`);
      }
    }),
  );
}
