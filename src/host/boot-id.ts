import { isErrno, type Sys } from "./sys.ts";

/** A text that is another one after each reboot; `undefined` where the kernel does not tell it. */
export function bootId(sys: Sys): string | undefined {
  try {
    return sys.readFile("/proc/sys/kernel/random/boot_id").trim();
  } catch (error) {
    if (isErrno(error, "ENOENT", "EACCES")) return undefined;
    throw error;
  }
}
