/** Persistent names of a node's network, mostly Calico's, so that a node can change between its agent and this one. Never change them. */

/** The table of nf_tables that guards the tunnels; ours. */
export const tunnelTable = "tortie_tunnel";
/** The table of nf_tables of floating IPs; ours. */
export const floatingTable = "tortie_floating";
/** The table of nf_tables that checks from which addresses pods send; ours. */
export const sourceTable = "tortie_source";
/** The protocol of routes (rtm_protocol, linux/rtnetlink.h) that no tunnel device tells to be the agent's. */
export const routeProtocol = 80;
