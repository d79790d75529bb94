/** Finds executables in CNI_PATH, and recognises our own. */
import { CniError, code } from "../cni/error.ts";
import type { Sys } from "../host/sys.ts";

/** The first regular file with that name. Throws `CniError` 7, in the reference's words. */
export function findPlugin(sys: Sys, type: string, path: readonly string[]): string {
  if (type === "") throw new CniError(code.invalidConfig, "no plugin name provided");
  if (/[/\\\0]/.test(type)) throw new CniError(code.invalidConfig, `invalid plugin name: ${type}`);
  for (const directory of path) {
    const candidate = `${directory}/${type}`;
    if (sys.stat(candidate)?.kind === "file") return candidate;
  }
  throw new CniError(code.invalidConfig, `failed to find plugin "${type}" in path [${path.join(":")}]`);
}

/** Every plugin of the suite is a hard link to one executable. */
export function isOwnExecutable(sys: Sys, path: string): boolean {
  const own = sys.stat("/proc/self/exe");
  const other = sys.stat(path);
  return own !== undefined && other?.inode === own.inode && other.device === own.device;
}
