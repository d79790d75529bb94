/** Queueing disciplines: `struct tcmsg`, TCA_* and TCA_TBF_* (linux/rtnetlink.h, linux/pkt_sched.h). */
import { i32Of, readAttributes, stringOf, u32Of, u64Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Reply, type Request } from "./message.ts";
import { dump, RTM_DELQDISC, RTM_GETQDISC, RTM_NEWQDISC, requestWithAck } from "./rtnetlink.ts";

export const TCA_KIND = 1;
export const TCA_OPTIONS = 2;
export const TCA_TBF_PARMS = 1;
export const TCA_TBF_RATE64 = 4;
export const TCA_TBF_BURST = 6;
export const TC_H_ROOT = 0xffffffff;
export const TC_H_INGRESS = 0xfffffff1;
/** `1:` and `ffff:`. */
const rootHandle = 0x10000;
export const ingressHandle = 0xffff0000;
export const tcHeaderLength = 20;
const TC_LINKLAYER_ETHERNET = 1;
/** The value in TCA_TBF_PARMS if the rate does not fit: TCA_TBF_RATE64 has it. */
const rateIn64 = 0xffffffff;

export interface TokenBucketParameters {
  readonly rateBytes: number;
  readonly burstBytes: number;
  readonly limitBytes: number;
  readonly bufferTicks: number;
}

export interface QdiscEntry {
  readonly index: number;
  readonly kind: string;
  readonly parent: number;
  readonly tokenBucket: Omit<TokenBucketParameters, "burstBytes"> | undefined;
}

/** A token bucket at the root. With `replace` it replaces an existing root qdisc; without it, an existing one is `EEXIST`. */
export function addTokenBucket(index: number, bucket: TokenBucketParameters, replace: boolean): Request {
  const writer = tcHeader(index, rootHandle, TC_H_ROOT, 0).string(TCA_KIND, "tbf");
  writer.nest(TCA_OPTIONS, () => {
    writer.bytes(TCA_TBF_PARMS, bucketParameters(bucket));
    if (!ticksSuffice(bucket)) writer.u32(TCA_TBF_BURST, bucket.burstBytes);
    if (bucket.rateBytes >= rateIn64) writer.u64(TCA_TBF_RATE64, bucket.rateBytes);
  });
  return requestWithAck(RTM_NEWQDISC, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), writer.finish());
}

/** The largest packet in a queue, before segmentation. */
const maxPacketBytes = 65536;
/** A millisecond, so that rounding to a microsecond costs at most a thousandth. */
const preciseTicks = 15_625;
const ticksMax = 0xffffffff;

/**
 * The kernel prefers the burst in bytes to the time in ticks; tc(8) of iproute2 6.1 sends both. The Go plugin sends only ticks, and its CHECK
 * expects the same number. We do the same if that makes the bucket at most a byte smaller and no packet can fill it.
 */
function ticksSuffice({ burstBytes, bufferTicks }: TokenBucketParameters): boolean {
  return burstBytes > maxPacketBytes && bufferTicks >= preciseTicks && bufferTicks < ticksMax;
}

/** The hook for filters on incoming packets. */
export function addIngress(index: number): Request {
  const writer = tcHeader(index, ingressHandle, TC_H_INGRESS, 0).string(TCA_KIND, "ingress");
  return requestWithAck(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, writer.finish());
}

export function deleteQdisc(index: number, discipline: "tbf" | "ingress"): Request {
  const ingress = discipline === "ingress";
  const writer = tcHeader(index, ingress ? ingressHandle : rootHandle, ingress ? TC_H_INGRESS : TC_H_ROOT, 0);
  return requestWithAck(RTM_DELQDISC, 0, writer.finish());
}

/** The loopback interface has index 1 in every namespace. */
export const loopback = 1;

/**
 * A request that the kernel always rejects: with EINVAL (missing options) if it knows the kind, otherwise with ENOENT
 * (qdisc_create in net/sched/sch_api.c checks the kind first).
 */
export function probeQdiscKind(kind: "tbf"): Request {
  const writer = tcHeader(loopback, rootHandle, TC_H_ROOT, 0).string(TCA_KIND, kind);
  return requestWithAck(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, writer.finish());
}

/** Old kernels return those of all links. */
export function dumpQdiscs(index: number): Request {
  return dump(RTM_GETQDISC, tcHeader(index, 0, 0, 0).finish());
}

/** Reads an RTM_NEWQDISC. Throws `MalformedError`. */
export function readQdisc({ payload }: Reply): QdiscEntry {
  const attributes = readAttributes(payload, tcHeaderLength);
  const kind = stringOf(attributes.get(TCA_KIND) ?? new Uint8Array());
  const options = attributes.get(TCA_OPTIONS);
  return {
    index: i32Of(payload, 4),
    kind,
    parent: u32Of(payload, 12),
    tokenBucket: kind === "tbf" && options ? readTokenBucket(options) : undefined,
  };
}

/** tcm_family, pads, tcm_ifindex, tcm_handle, tcm_parent, tcm_info. */
export function tcHeader(index: number, handle: number, parent: number, info: number): AttributeWriter {
  return new AttributeWriter().word(0).word(index).word(handle).word(parent).word(info);
}

/** `struct tc_tbf_qopt`: rate, peak rate (none), limit, buffer, mtu (of the peak rate). */
function bucketParameters({ rateBytes, limitBytes, bufferTicks }: TokenBucketParameters): Uint8Array {
  const writer = new AttributeWriter();
  // struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate. Rate tables are obsolete since Linux 3.8.
  writer.octets(0, TC_LINKLAYER_ETHERNET, 0, 0).halves(0xffff, 0).word(Math.min(rateBytes, rateIn64));
  writer.word(0).word(0).word(0);
  return writer.word(limitBytes).word(bufferTicks).word(0).finish();
}

function readTokenBucket(options: Uint8Array): Omit<TokenBucketParameters, "burstBytes"> | undefined {
  const attributes = readAttributes(options);
  const parameters = attributes.get(TCA_TBF_PARMS);
  if (parameters === undefined) return undefined;
  const rate = u32Of(parameters, 8);
  const rate64 = attributes.get(TCA_TBF_RATE64);
  return {
    rateBytes: rate === rateIn64 && rate64 ? u64Of(rate64) : rate,
    limitBytes: u32Of(parameters, 24),
    bufferTicks: u32Of(parameters, 28),
  };
}
