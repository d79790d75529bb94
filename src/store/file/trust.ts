/** Rejects state directories that others can write to: they could assign addresses, and make us remove foreign objects. */
import { CoreError } from "../../errors/core-error.ts";
import { isErrno, type Sys } from "../../host/sys.ts";
import { runDir, stateDir } from "../../identity/names.ts";

class UntrustedDirectory extends CoreError {
  override readonly name = "UntrustedDirectory";
  readonly kind = "datastore";
  readonly directory: string;

  constructor(directory: string, reason: string, cause: unknown) {
    super(`cannot trust "${directory}": ${reason}`, { cause });
    this.directory = directory;
  }
}

/** Throws `UntrustedDirectory` if a state directory is a symbolic link, has another owner, or is writable by others. Everything below is then root's. */
export function trustStateDirectories(sys: Sys): void {
  for (const directory of [runDir, stateDir]) {
    try {
      sys.trustDirectory(directory);
    } catch (error) {
      throw new UntrustedDirectory(directory, reasonOf(error, sys), error);
    }
  }
}

function reasonOf(error: unknown, sys: Sys): string {
  if (isErrno(error, "ELOOP")) return "it is a symbolic link, must be a directory owned by root";
  if (isErrno(error, "EPERM")) {
    if (!isRoot(sys)) return "this process does not run as root; run it as root";
    return "it is owned by another user or writable by others, must belong to root only";
  }
  return error instanceof Error ? error.message : String(error);
}

/** By the effective user ID (proc(5): real, effective, saved, file system); true if it cannot be read. */
function isRoot(sys: Sys): boolean {
  try {
    const [, effective] = /^Uid:\t\d+\t(\d+)/m.exec(sys.readFile("/proc/self/status")) ?? [];
    return effective === undefined || effective === "0";
  } catch {
    return true;
  }
}
