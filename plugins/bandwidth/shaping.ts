/**
 * Plans a pair of limits:
 *
 *     to the container      host ──► [tbf] host interface ──► eth0
 *
 *     from the container    eth0 ──► host interface [ingress hook] ─redirect─► [tbf] bwp… ──► host
 *
 * A tbf qdisc shapes only what leaves an interface. What arrives is therefore redirected through an ifb, which it leaves again.
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
 * `bwp` and 12 hexadecimal digits of SHA-512. For `eth0` the digest is of network and container ID, as in the reference plugin, so that each
 * finds the other's ifb. For any other interface it is of the whole owner; the reference plugin uses the same name for all of them.
 */
export function ifbName(attachment: Attachment): string {
  const { network, containerId, ifname } = attachment;
  const text = ifname === "eth0" ? network + containerId : ownerOf(attachment);
  return ifbPrefix + sha512(text).slice(0, 12);
}

/** Whether `ifbName` may have generated it. */
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

/** Bytes of an Ethernet header with a VLAN tag. */
const headerLength = 18;

/**
 * Raises the burst to at least one packet: tbf drops any packet larger than its bucket (tbf_enqueue in net/sched/sch_tbf.c; it splits GSO
 * packets first).
 */
export function withRoom(limit: Limit, mtu: number): Limit {
  return { ...limit, burstBytes: Math.max(limit.burstBytes, mtu + headerLength) };
}

/** The longest time that a packet waits for tokens, in seconds. */
const latency = 0.025;
/** A tick of the kernel is 64 ns (PSCHED_SHIFT, net/pkt_sched.h); like tc, this plugin computes in whole microseconds. */
const ticksPerMicrosecond = 1000 / 64;
const u32Max = 2 ** 32 - 1;

/**
 * The numbers of the reference plugin, but without its overflow at 32 bits: containerd sends bursts of 2^32-1, CRI-O of 34359738359 bits.
 * The kernel reads `burstBytes`; kernels before 3.14 read `bufferTicks`.
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
