/**
 * Persistent names. Never change: upgrades depend on it (a new release finds and removes what an older one created).
 * `test/unit/plan/names.test.ts` contains them as golden text.
 */

/** Allocations, endpoints, locks: state that ends with the sandboxes that it describes (tmpfs). */
export const runDir = "/run/tortie";
/** Pools, reservations and settings: state that survives a reboot. */
export const stateDir = "/var/lib/tortie";
/** Owners are `tortie:<network>/<containerID>/<ifname>`. */
export const ownerPrefix = "tortie:";
/** Calico's prefix of host interfaces. */
export const hostInterfacePrefix = "cali";
/** The reference bandwidth plugin's prefix of ifb links. */
export const ifbPrefix = "bwp";
/** The table of natOutgoing and of the guard of 127.0.0.0/8, in families `ip` and `ip6`. `calico` and the node agent keep it. */
export const natTable = "tortie";
/** Calico's VXLAN devices, by address family. */
export const vxlanDevices: Readonly<Record<4 | 6, string>> = { 4: "vxlan.calico", 6: "vxlan-v6.calico" };
/** The protocol of routes (rtm_protocol, linux/rtnetlink.h) that no tunnel device tells to be the node agent's: Calico's number. */
export const routeProtocol = 80;
/** The IPIP device, which the kernel's module makes. */
export const ipipDevice = "tunl0";
/** The node agent's tables of nf_tables: the guard of tunnels, floating IPs, the check of pods' sources. */
export const agentTables = { tunnel: "tortie_tunnel", floating: "tortie_floating", source: "tortie_source" } as const;
