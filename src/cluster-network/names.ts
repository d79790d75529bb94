/** Persistent names of a node's network, mostly Calico's, so that a node can change between its agent and this one. Never change them. */

/** The protocol of routes (rtm_protocol, linux/rtnetlink.h) that no tunnel device tells to be the agent's. */
export const routeProtocol = 80;
