/**
 * The plan of a pair of limits, a pure function of them:
 *
 *     to the container      host ──► [tbf] host interface ──► eth0
 *
 *     from the container    eth0 ──► host interface [ingress hook] ─redirect─► [tbf] bwp… ──► host
 *
 * A queue can only hold what leaves an interface. What arrives is therefore sent through an ifb, where it leaves once more.
 */
import { type Attachment, ownerOf } from "../../src/identity/attachment.ts";
import { ifbPrefix } from "../../src/identity/names.ts";
import { sha512 } from "../../src/net/digest.ts";
import type { Resource, TokenBucket } from "../../src/plan/resource.ts";
import type { BandwidthConf, Limit } from "./conf.ts";

export interface ShapedLink {
  readonly hostInterface: string;
  /** The MTU of the host interface; the ifb gets the same. */
  readonly mtu: number;
  readonly ifb: string;
}

export function planShaping({ ingress, egress }: BandwidthConf, link: ShapedLink): readonly Resource[] {
  return [
    ...(ingress === undefined ? [] : [tokenBucket(link.hostInterface, withRoom(ingress, link.mtu))]),
    ...(egress === undefined ? [] : planEgress(egress, link)),
  ];
}

/**
 * `bwp` and 12 hexadecimal digits of SHA-512: of network and container ID as in the reference plugin for `eth0`, so that either
 * finds what the other made; of the whole owner for any other interface, which in the reference gets the same name as the first.
 */
export function ifbName(attachment: Attachment): string {
  const { network, containerId, ifname } = attachment;
  const text = ifname === "eth0" ? network + containerId : ownerOf(attachment);
  return ifbPrefix + sha512(text).slice(0, 12);
}

/** Whether `ifbName` may have made it. */
export function isIfbName(name: string): boolean {
  return /^[0-9a-f]{12}$/.test(name.slice(ifbPrefix.length)) && name.startsWith(ifbPrefix);
}

function planEgress(limit: Limit, { hostInterface, mtu, ifb }: ShapedLink): readonly Resource[] {
  return [
    { kind: "ifb", at: "host", name: ifb, mtu, txQueueLength: 0 },
    { kind: "up", at: "host", link: ifb },
    { kind: "qdisc", at: "host", link: hostInterface, discipline: "ingress" },
    { kind: "redirect", at: "host", link: hostInterface, target: ifb },
    tokenBucket(ifb, withRoom(limit, mtu)),
  ];
}

/** Of Ethernet, with a VLAN tag. */
const headerLength = 18;

/**
 * The limit with a burst that a packet fits into: the bucket never lets a larger one pass (tbf_enqueue in net/sched/sch_tbf.c; what is larger for
 * segmentation's sake it takes apart).
 */
export function withRoom(limit: Limit, mtu: number): Limit {
  return { ...limit, burstBytes: Math.max(limit.burstBytes, mtu + headerLength) };
}

/** What a packet may wait for its tokens, in seconds. */
const latency = 0.025;
/** The kernel counts a bucket in units of 64 ns (PSCHED_SHIFT, net/pkt_sched.h); user space goes by way of whole microseconds. */
const ticksPerMicrosecond = 1000 / 64;
const u32Max = 2 ** 32 - 1;

/**
 * The reference's numbers, without its wrap-around at 32 bits: a runtime sends bursts of 2^32-1 (containerd) and 34359738359 bits
 * (CRI-O). The kernel takes the bucket from `burstBytes`; `bufferTicks` is what kernels before 3.14 read.
 */
function tokenBucket(link: string, { rateBytes, burstBytes }: Limit): TokenBucket {
  return {
    kind: "qdisc",
    at: "host",
    link,
    discipline: "tbf",
    rateBytes,
    burstBytes,
    limitBytes: Math.min(u32Max, Math.floor(rateBytes * latency) + burstBytes),
    bufferTicks: Math.min(u32Max, Math.floor(Math.floor((burstBytes * 1e6) / rateBytes) * ticksPerMicrosecond)),
  };
}
