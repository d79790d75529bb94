/**
 * The guard that goes with `route_localnet`, which lets the host reach a pod's port by 127.0.0.1: with it the kernel would also take packets
 * for the host's own loopback network from outside.
 */
import type { NftChain } from "./nft.ts";

/** The comment of the rule, in nf_tables and in iptables. Never change: upgrades depend on it. */
export const guardComment = "127.0.0.0/8 is for the host alone";
/** Before connection tracking (-200), which would give a reply's address back to 127.0.0.1. */
const rawPriority = -300;

/** Drops what comes to the host's loopback network from elsewhere. */
export const loopbackGuard: NftChain = {
  name: "guard",
  hook: { type: "filter", hook: "prerouting", priority: rawPriority },
  rules: [
    {
      statements: [
        { match: "iifname", op: "!=", value: "lo" },
        { match: "ip daddr", op: "==", value: "127.0.0.0/8" },
        { verdict: "drop" },
      ],
      comment: guardComment,
    },
  ],
};
