/** The persistent names of `calico`. Never change: upgrades depend on it. */

/** The address that every pod's IPv4 default route goes through. */
export const gateway4 = "169.254.1.1";
/** The same for IPv6: the link-local address that EUI-64 derives from `hostMac`. */
export const gateway6 = "fe80::ecee:eeff:feee:eeee";
/** The MAC address of every host interface. */
export const hostMac = "ee:ee:ee:ee:ee:ee";
/** The priority of the rules of a pod's further interfaces: before `main` (32766). */
export const sourceRulePriority = 32_000;
/**
 * The priorities of the host's rules that keep pods' packets to their pools off the default route: before `main` (32766).
 */
export const poolRulePriorities = { lookup: 32_001, blackhole: 32_002 } as const;
/** Their protocol (rtm_protocol, linux/rtnetlink.h), which distinguishes them from foreign rules: Calico's number. */
export const poolRuleProtocol = 80;
/** The protocol of the routes of the node's blocks: Calico's number. */
export const blockRouteProtocol = 80;
