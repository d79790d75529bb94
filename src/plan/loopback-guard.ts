/**
 * The guard of `route_localnet`. That sysctl lets the host reach a host port at 127.0.0.1, but it also makes the kernel accept packets to
 * 127.0.0.0/8 from outside.
 */
import type { NftChain } from "./nft.ts";

/** The comment of the rule, in nf_tables and iptables. Never change it: upgrades depend on it. */
export const guardComment = "127.0.0.0/8 is for the host alone";
/** Before connection tracking (-200), which would rewrite the destination of replies to 127.0.0.1. */
const rawPriority = -300;

/** Drops packets to 127.0.0.0/8 that do not come from `lo`. */
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
