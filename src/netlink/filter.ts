/** One traffic filter, which redirects everything that arrives on a link to another (u32 with no condition, mirred; linux/pkt_cls.h, linux/tc_act/tc_mirred.h). */
import { i32Of, listAttributes, readAttributes, stringOf, u32Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Reply, type Request } from "./message.ts";
import { ingressHandle, TCA_KIND, TCA_OPTIONS, tcHeader, tcHeaderLength } from "./qdisc.ts";
import { dump, RTM_DELTFILTER, RTM_GETTFILTER, RTM_NEWTFILTER, requestWithAck } from "./rtnetlink.ts";

export const TCA_U32_CLASSID = 1;
export const TCA_U32_SEL = 5;
export const TCA_U32_ACT = 7;
export const TCA_ACT_KIND = 1;
export const TCA_ACT_OPTIONS = 2;
export const TCA_MIRRED_PARMS = 2;
const TC_U32_TERMINAL = 1;
const TC_ACT_STOLEN = 4;
const TCA_EGRESS_REDIR = 1;
/** `flowid 1:1`. */
const classId = 0x10001;
/**
 * `800::800`, the handle of the first u32 filter of a hook. With it, adding the filter twice fails with `EEXIST`; without a handle the
 * kernel would append a second one.
 */
const filterHandle = 0x80000800;
/** Preference 1, and ETH_P_ALL in network order. */
const preferenceAndProtocol = 0x10000 | 0x0300;

export interface FilterEntry {
  readonly index: number;
  readonly kind: string;
  /** The link that a mirred action redirects to. */
  readonly redirectsTo: number | undefined;
}

/** With `replace` it replaces an existing filter; without it, an existing filter is `EEXIST`. */
export function addRedirect(index: number, targetIndex: number, replace: boolean): Request {
  const writer = filterHeader(index).string(TCA_KIND, "u32");
  writer.nest(TCA_OPTIONS, () => {
    writer.u32(TCA_U32_CLASSID, classId);
    writer.bytes(TCA_U32_SEL, matchAll());
    writer.nest(TCA_U32_ACT, () => {
      writer.nest(1, () => {
        writer.string(TCA_ACT_KIND, "mirred");
        writer.nest(TCA_ACT_OPTIONS, () => writer.bytes(TCA_MIRRED_PARMS, redirectTo(targetIndex)));
      });
    });
  });
  return requestWithAck(RTM_NEWTFILTER, NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL), writer.finish());
}

export function deleteRedirect(index: number): Request {
  return requestWithAck(RTM_DELTFILTER, 0, filterHeader(index).string(TCA_KIND, "u32").finish());
}

export function dumpFilters(index: number): Request {
  return dump(RTM_GETTFILTER, tcHeader(index, 0, ingressHandle, 0).finish());
}

/** Reads an RTM_NEWTFILTER. Throws `MalformedError`. */
export function readFilter({ payload }: Reply): FilterEntry {
  const attributes = readAttributes(payload, tcHeaderLength);
  const kind = stringOf(attributes.get(TCA_KIND) ?? new Uint8Array());
  const options = attributes.get(TCA_OPTIONS);
  const actions = kind === "u32" && options ? readAttributes(options).get(TCA_U32_ACT) : undefined;
  return { index: i32Of(payload, 4), kind, redirectsTo: actions && redirectTarget(actions) };
}

function filterHeader(index: number): AttributeWriter {
  return tcHeader(index, filterHandle, ingressHandle, preferenceAndProtocol);
}

/** `struct tc_u32_sel` with one key that has no bits: `match u32 0 0`. */
function matchAll(): Uint8Array {
  const writer = new AttributeWriter().octets(TC_U32_TERMINAL, 0, 1, 0);
  writer.word(0).word(0).word(0);
  return writer.word(0).word(0).word(0).word(0).finish();
}

/** `struct tc_mirred`: index, capab, action, refcnt, bindcnt, eaction, ifindex. */
function redirectTo(targetIndex: number): Uint8Array {
  const writer = new AttributeWriter().word(0).word(0).word(TC_ACT_STOLEN).word(0).word(0);
  return writer.word(TCA_EGRESS_REDIR).word(targetIndex).finish();
}

function redirectTarget(actions: Uint8Array): number | undefined {
  for (const { value } of listAttributes(actions)) {
    const action = readAttributes(value);
    const options = action.get(TCA_ACT_OPTIONS);
    if (!options || stringOf(action.get(TCA_ACT_KIND) ?? new Uint8Array()) !== "mirred") continue;
    const parameters = readAttributes(options).get(TCA_MIRRED_PARMS);
    if (parameters && u32Of(parameters, 20) === TCA_EGRESS_REDIR) return u32Of(parameters, 24);
  }
  return undefined;
}
