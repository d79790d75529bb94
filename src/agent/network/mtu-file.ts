/** The file that tells the plugins the MTU of pods' interfaces: `/var/lib/calico/mtu`, a number without a newline, as Calico writes it. */
import { isErrno, type Sys } from "../../host/sys.ts";

const directory = "/var/lib/calico";
const file = `${directory}/mtu`;

/** Whether it had to be written. */
export function writeMtu(mtu: number, sys: Sys): boolean {
  if (written(sys) === String(mtu)) return false;
  sys.makeDirs(directory, 0o755);
  sys.replaceFile(file, String(mtu), { mode: 0o644, durable: true });
  return true;
}

function written(sys: Sys): string | undefined {
  try {
    return sys.readFile(file).trim();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}
