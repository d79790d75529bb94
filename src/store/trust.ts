/** Whose our folders are. Whoever else could write to them could give addresses away, and have us remove what is not ours. */
import { CniError, code } from "../cni/error.ts";
import { isErrno, type Sys } from "../host/sys.ts";
import { runDir, stateDir } from "../plan/names.ts";

/** Throws `CniError` 103 where a folder of ours is a link, or another user's, or writable to others. What lies below is then root's alone. */
export function trustStateFolders(sys: Sys): void {
  for (const folder of [runDir, stateDir]) {
    try {
      sys.trustFolder(folder);
    } catch (error) {
      throw new CniError(code.datastore, `cannot trust "${folder}": ${reasonOf(error)}`);
    }
  }
}

function reasonOf(error: unknown): string {
  if (isErrno(error, "ELOOP")) return "it is a symbolic link, want a folder of root's";
  if (isErrno(error, "EPERM")) return "it is owned by another user or writable to others, want root's alone";
  return error instanceof Error ? error.message : String(error);
}
