/**
 * Persistent names. Never change: upgrades depend on it (a new release finds and removes what an older one made).
 * `test/unit/plan/names.test.ts` holds them as golden text.
 */

/** Allocations, endpoints, locks: state that dies with the sandboxes it describes (tmpfs). */
export const runDir = "/run/tortie";
/** Pools, reservations and settings: state that survives a reboot. */
export const stateDir = "/var/lib/tortie";
/** Owners are `tortie:<network>/<containerID>/<ifname>`. */
export const ownerPrefix = "tortie:";
/** Calico's prefix of host interfaces. */
export const hostInterfacePrefix = "cali";
/** The reference bandwidth plugin's prefix of ifb links. */
export const ifbPrefix = "bwp";
/** The table of natOutgoing and of the guard of 127.0.0.0/8, in families `ip` and `ip6`. */
export const natTable = "tortie";
/** The table of the port mappings, in families `ip` and `ip6`. */
export const portmapTable = "tortie_portmap";
/** The comment of the rule that keeps others out of the host's loopback network, in nf_tables and in iptables. */
export const guardComment = "127.0.0.0/8 is for the host alone";
/** The lock of the iptables back end, whose file is there once that was used. */
export const iptablesLock = `${runDir}/iptables.lock`;
/** The address that every pod's IPv4 default route goes through. */
export const gateway4 = "169.254.1.1";
/** The same for IPv6: the link-local address that EUI-64 makes of `hostMac`. */
export const gateway6 = "fe80::ecee:eeff:feee:eeee";
/** The MAC address of every host interface. */
export const hostMac = "ee:ee:ee:ee:ee:ee";
/** The place of the rules of a pod's further interfaces among all rules of the pod: before `main` (32766). */
export const sourceRulePriority = 32_000;
/**
 * The places, among all rules of the host, of those that keep pods' packets to their pools from the default route: before `main` (32766).
 */
export const poolRulePriorities = { lookup: 32_001, blackhole: 32_002 } as const;
/** Their protocol (rtm_protocol, linux/rtnetlink.h), by which they are told from others' rules: Calico's number. */
export const poolRuleProtocol = 80;
/** The protocol of the routes of the node's blocks: Calico's number. */
export const blockRouteProtocol = 80;
