/** The persistent names of `portmap`. Never change: upgrades depend on it. */
import { runDir } from "../../src/identity/names.ts";

/** The table of the port mappings, in families `ip` and `ip6`. */
export const portmapTable = "tortie_portmap";
/** The lock of the iptables back end. The file exists once that back end was used. */
export const iptablesLock = `${runDir}/iptables.lock`;
