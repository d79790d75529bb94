/** Which store, and in which life of it: addresses die with the boot, and a report about an earlier one must not be acted on. */
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
