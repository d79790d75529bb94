/** Identifies the store and the boot: allocations do not survive a reboot, so a report from before it must not be applied. */
import { isErrno, type Sys } from "../../host/sys.ts";
import { runDir } from "../../identity/names.ts";

const bootIdFile = "/proc/sys/kernel/random/boot_id";

/** `<boot ID>/<device>:<inode>` of the directory. */
export function storeIdentity(sys: Sys): string {
  const directory = sys.stat(runDir);
  return `${bootId(sys)}/${directory === undefined ? "none" : `${directory.device}:${directory.inode}`}`;
}

function bootId(sys: Sys): string {
  try {
    return sys.readFile(bootIdFile).trim();
  } catch (error) {
    if (isErrno(error, "ENOENT", "EACCES")) return "unknown";
    throw error;
  }
}
