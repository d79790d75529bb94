/** Queueing disciplines and filters of the fake kernel. */
import { i32Of, readAttributes, stringOf, u32Of } from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import * as filter from "../../../src/netlink/filter.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Reply } from "../../../src/netlink/message.ts";
import * as qdisc from "../../../src/netlink/qdisc.ts";
import {
  RTM_DELQDISC,
  RTM_DELTFILTER,
  RTM_GETQDISC,
  RTM_GETTFILTER,
  RTM_NEWQDISC,
  RTM_NEWTFILTER,
} from "../../../src/netlink/rtnetlink.ts";
import { Refused } from "./errno.ts";
import type { Answer, FakeKernel, Handler } from "./kernel.ts";
import type { FakeLink, FakeNetns } from "./netns.ts";

export const trafficHandlers: Readonly<Record<number, Handler>> = {
  [RTM_NEWQDISC]: newQdisc,
  [RTM_DELQDISC]: deleteQdisc,
  [RTM_GETQDISC]: getQdiscs,
  [RTM_NEWTFILTER]: newFilter,
  [RTM_DELTFILTER]: deleteFilter,
  [RTM_GETTFILTER]: getFilters,
};

function newQdisc(netns: FakeNetns, { payload, flags }: Reply, { missingModules }: FakeKernel): readonly Answer[] {
  const link = linkOf(netns, payload);
  const attributes = readAttributes(payload, qdisc.tcHeaderLength);
  const kind = stringOf(attributes.get(qdisc.TCA_KIND) ?? new Uint8Array());
  if ((flags & NLM_F_CREATE) === 0) throw new Refused("ENOENT");
  if (missingModules.has(`sch_${kind}`)) throw new Refused("ENOENT", "Specified qdisc kind is unknown");
  const exists = kind === "ingress" ? link.ingress : link.tokenBucket !== undefined;
  if (exists && (flags & NLM_F_EXCL) !== 0) throw new Refused("EEXIST", "Exclusivity flag on, cannot modify");
  if (kind === "ingress") {
    if (u32Of(payload, 12) !== qdisc.TC_H_INGRESS) throw new Refused("ENOENT");
    link.ingress = true;
  } else if (kind === "tbf") {
    if (u32Of(payload, 12) !== qdisc.TC_H_ROOT) throw new Refused("ENOENT", "Failed to find specified qdisc");
    link.tokenBucket = tokenBucketIn(attributes.get(qdisc.TCA_OPTIONS) ?? new Uint8Array());
  } else throw new Refused("ENOENT", "Specified qdisc kind is unknown");
  return [];
}

function tokenBucketIn(options: Uint8Array): NonNullable<FakeLink["tokenBucket"]> {
  const attributes = readAttributes(options);
  const parameters = attributes.get(qdisc.TCA_TBF_PARMS);
  if (parameters === undefined || parameters.length !== 36) throw new Refused("EINVAL");
  const rate = u32Of(parameters, 8);
  const rate64 = attributes.get(qdisc.TCA_TBF_RATE64);
  const rateBytes = rate64 ? u32Of(rate64) + u32Of(rate64, 4) * 2 ** 32 : rate;
  const burst = attributes.get(qdisc.TCA_TBF_BURST);
  const ticks = u32Of(parameters, 28);
  const burstBytes = burst ? u32Of(burst) : Math.floor((ticks * 64 * rateBytes) / 1e9);
  if (rateBytes === 0 || burstBytes === 0) throw new Refused("EINVAL");
  return {
    rateBytes,
    burstBytes,
    limitBytes: u32Of(parameters, 24),
    bufferTicks: Math.floor((burstBytes / rateBytes) * (1e9 / 64)) >>> 0,
  };
}

function deleteQdisc(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  const link = linkOf(netns, payload);
  const ingress = u32Of(payload, 12) === qdisc.TC_H_INGRESS;
  if (ingress ? !link.ingress : link.tokenBucket === undefined) {
    throw new Refused(ingress ? "EINVAL" : "ENOENT", "Cannot find specified qdisc on specified device");
  }
  if (ingress) {
    link.ingress = false;
    link.redirect = undefined;
  } else link.tokenBucket = undefined;
  return [];
}

/** The queueing disciplines of every link, as kernels before 4.20 answer. */
function getQdiscs(netns: FakeNetns): readonly Answer[] {
  return [...netns.links.values()].flatMap((link) => {
    const root = tc(link, 0x10000, qdisc.TC_H_ROOT);
    if (link.tokenBucket) {
      const { rateBytes, limitBytes, bufferTicks } = link.tokenBucket;
      root.string(qdisc.TCA_KIND, "tbf").nest(qdisc.TCA_OPTIONS, () => {
        const parameters = new AttributeWriter().word(0).word(0).word(Math.min(rateBytes, 0xffffffff));
        parameters.word(0).word(0).word(0).word(limitBytes).word(bufferTicks).word(0);
        root.bytes(qdisc.TCA_TBF_PARMS, parameters.finish());
        if (rateBytes >= 0xffffffff) root.u64(qdisc.TCA_TBF_RATE64, rateBytes);
      });
    } else root.string(qdisc.TCA_KIND, "noqueue");
    const answers = [{ type: RTM_NEWQDISC, payload: root.finish() }];
    if (!link.ingress) return answers;
    const ingress = tc(link, qdisc.ingressHandle, qdisc.TC_H_INGRESS).string(qdisc.TCA_KIND, "ingress");
    return [...answers, { type: RTM_NEWQDISC, payload: ingress.finish() }];
  });
}

function newFilter(netns: FakeNetns, request: Reply, { missingModules }: FakeKernel): readonly Answer[] {
  const link = linkOf(netns, request.payload);
  if (!link.ingress) throw new Refused("EINVAL", "Parent Qdisc doesn't exists");
  const { kind, redirectsTo } = filter.readFilter(request);
  if (kind !== "u32" || redirectsTo === undefined || missingModules.has("cls_u32")) {
    throw new Refused("ENOENT", "TC classifier not found");
  }
  if (missingModules.has("act_mirred")) throw new Refused("ENOENT", "Failed to load TC action module");
  if (!netns.links.has(redirectsTo)) throw new Refused("ENODEV");
  if (link.redirect !== undefined && (request.flags & NLM_F_EXCL) !== 0) {
    throw new Refused("EEXIST", "Filter already exists");
  }
  link.redirect = redirectsTo;
  return [];
}

function deleteFilter(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  const link = linkOf(netns, payload);
  if (link.redirect === undefined) throw new Refused("ENOENT", "Specified filter chain not found");
  link.redirect = undefined;
  return [];
}

function getFilters(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  const link = linkOf(netns, payload);
  const { redirect } = link;
  if (redirect === undefined) return [];
  // Like the kernel: the hash table first, without an action.
  const table = tc(link, 0x80000000, qdisc.ingressHandle).string(qdisc.TCA_KIND, "u32");
  const entry = tc(link, 0x80000800, qdisc.ingressHandle).string(qdisc.TCA_KIND, "u32");
  entry.nest(qdisc.TCA_OPTIONS, () => {
    entry.nest(filter.TCA_U32_ACT, () => {
      entry.nest(1, () => {
        entry.string(filter.TCA_ACT_KIND, "mirred").nest(filter.TCA_ACT_OPTIONS, () => {
          const parameters = new AttributeWriter().word(1).word(0).word(4).word(1).word(1).word(1).word(redirect);
          entry.bytes(filter.TCA_MIRRED_PARMS, parameters.finish());
        });
      });
    });
  });
  return [table, entry].map((writer) => ({ type: RTM_NEWTFILTER, payload: writer.finish() }));
}

function tc(link: FakeLink, handle: number, parent: number): AttributeWriter {
  return new AttributeWriter().word(0).word(link.index).word(handle).word(parent).word(0);
}

function linkOf(netns: FakeNetns, payload: Uint8Array): FakeLink {
  const link = netns.links.get(i32Of(payload, 4));
  if (link === undefined) throw new Refused("ENODEV");
  return link;
}
