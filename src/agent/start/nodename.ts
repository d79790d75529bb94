/** This node's name, and the file that tells plugins that an agent runs and what it calls the node. */

import { isErrno, type Sys } from "../../host/sys.ts";
import { isDnsSubdomain } from "../../net/dns-name.ts";
import { InvalidSetting } from "../../store/cluster/settings.ts";

/** In Calico's order: the setting, the file, `HOSTNAME`, the host name. Throws `InvalidSetting` if it is not a valid node name. */
export function determineNodename(
  { nodename, nodenameFile }: { readonly nodename: string | undefined; readonly nodenameFile: string },
  sys: Sys,
): string {
  if (nodename !== undefined) return nodename;
  const found = textOf(sys, nodenameFile) || sys.environment().HOSTNAME || sys.hostname();
  const name = found.trim().toLowerCase();
  if (isDnsSubdomain(name)) return name;
  throw new InvalidSetting("NODENAME", "", `the name of this node; "${name}" cannot be one`);
}

/** Without a newline, as Calico writes it. */
export function writeNodename(file: string, name: string, sys: Sys): void {
  if (textOf(sys, file) === name) return;
  sys.makeDirs(file.slice(0, file.lastIndexOf("/")) || "/", 0o755);
  sys.replaceFile(file, name, { mode: 0o644, durable: true });
}

function textOf(sys: Sys, file: string): string {
  try {
    return sys.readFile(file).trim();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return "";
    throw error;
  }
}
