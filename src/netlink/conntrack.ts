/** ctnetlink (linux/netfilter/nfnetlink_conntrack.h): deletes conntrack entries (flows). */
import { addressBytes, formatAddress, type TableFamily } from "../net/address.ts";
import { type Attributes, be16Of, readAttributes, u8Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { addressFamily } from "./family.ts";
import { NLM_F_ACK, NLM_F_DUMP, type Reply, type Request } from "./message.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = (NFNL_SUBSYS_CTNETLINK << 8) | 1;
const IPCTNL_MSG_CT_DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
const CTA_ID = 12;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
const CTA_FILTER_REPLY_FLAGS = 2;
/** CTA_FILTER_F_CTA_IP_SRC and so on (linux/netfilter/nf_conntrack_common.h has none of them: net/netfilter/nf_internals.h). */
const filterFlags = { source: 1 << 0, destination: 1 << 1, protocol: 1 << 3, port: 1 << 5 } as const;
/** CTA_IP_V4_SRC, CTA_IP_V4_DST; CTA_IP_V6_SRC, CTA_IP_V6_DST. */
const addressTypes = { ip: { source: 1, destination: 2 }, ip6: { source: 3, destination: 4 } } as const;
const protocols = { tcp: 6, udp: 17, sctp: 132 } as const;
const headerLength = 4;

export type FlowProtocol = keyof typeof protocols;

/** Selects flows; an absent field matches anything. */
export interface FlowFilter {
  readonly protocol?: FlowProtocol;
  /** The destination port of the first packet. */
  readonly port?: number;
  /** The source address of the first packet. */
  readonly source?: string;
  /** The destination address of the first packet. */
  readonly destination?: string;
  /** The source address of replies: the destination of the first packet after translation. */
  readonly answerer?: string;
}

/** One flow. */
export interface Flow {
  /** The value of CTA_TUPLE_ORIG, which identifies it. */
  readonly tuple: Uint8Array;
  readonly id: Uint8Array | undefined;
  readonly protocol: FlowProtocol;
  readonly port: number;
  readonly source: string | undefined;
  readonly destination: string | undefined;
  readonly answerer: string | undefined;
}

/**
 * Deletes the flows of a family that match the filter, in one request (Linux 5.8). An older kernel does not know filters, takes the tuple for
 * that of one flow and rejects it: `EINVAL`.
 */
export function deleteFlows(family: TableFamily, filter: FlowFilter): Request {
  const { protocol, port, source, destination, answerer } = filter;
  const types = addressTypes[family];
  const writer = header(family);
  writer.nest(CTA_TUPLE_ORIG, () => {
    if (source !== undefined || destination !== undefined) {
      writer.nest(CTA_TUPLE_IP, () => {
        if (source !== undefined) writer.bytes(types.source, addressBytes(source));
        if (destination !== undefined) writer.bytes(types.destination, addressBytes(destination));
      });
    }
    writer.nest(CTA_TUPLE_PROTO, () => {
      if (protocol !== undefined) writer.u8(CTA_PROTO_NUM, protocols[protocol]);
      if (port !== undefined) writer.be16(CTA_PROTO_DST_PORT, port);
    });
  });
  if (answerer !== undefined) {
    writer.nest(CTA_TUPLE_REPLY, () => {
      writer.nest(CTA_TUPLE_IP, () => void writer.bytes(types.source, addressBytes(answerer)));
    });
  }
  const flags =
    (protocol === undefined ? 0 : filterFlags.protocol) |
    (port === undefined ? 0 : filterFlags.port) |
    (source === undefined ? 0 : filterFlags.source) |
    (destination === undefined ? 0 : filterFlags.destination);
  writer.nest(CTA_FILTER, () => {
    writer.u32(CTA_FILTER_ORIG_FLAGS, flags);
    if (answerer !== undefined) writer.u32(CTA_FILTER_REPLY_FLAGS, filterFlags.source);
  });
  return { type: IPCTNL_MSG_CT_DELETE, flags: NLM_F_ACK, payload: writer.finish() };
}

/** Requests all flows of a family. */
export function dumpFlows(family: TableFamily): Request {
  return { type: IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP, payload: header(family).finish() };
}

/** The flow in an answer, if it is of a protocol with ports. Throws `MalformedError`. */
export function readFlow({ payload }: Reply): Flow | undefined {
  const attributes = readAttributes(payload, headerLength);
  const tuple = attributes.get(CTA_TUPLE_ORIG);
  const protocol = tuple && partOf(tuple, CTA_TUPLE_PROTO);
  const number = protocol?.get(CTA_PROTO_NUM);
  const port = protocol?.get(CTA_PROTO_DST_PORT);
  if (tuple === undefined || number === undefined || port === undefined) return undefined;
  const name = (["tcp", "udp", "sctp"] as const).find((one) => protocols[one] === u8Of(number));
  if (name === undefined) return undefined;
  const reply = attributes.get(CTA_TUPLE_REPLY);
  return {
    tuple,
    id: attributes.get(CTA_ID),
    protocol: name,
    port: be16Of(port),
    source: addressIn(tuple, "source"),
    destination: addressIn(tuple, "destination"),
    answerer: reply && addressIn(reply, "source"),
  };
}

export function matchesFlow({ protocol, port, source, destination, answerer }: FlowFilter, flow: Flow): boolean {
  const holds = <T>(wanted: T | undefined, found: T | undefined): boolean => wanted === undefined || wanted === found;
  return (
    holds(protocol, flow.protocol) &&
    holds(port, flow.port) &&
    holds(source, flow.source) &&
    holds(destination, flow.destination) &&
    holds(answerer, flow.answerer)
  );
}

/** Deletes one flow; `ENOENT` if it ended. */
export function deleteFlow(family: TableFamily, { tuple, id }: Pick<Flow, "tuple" | "id">): Request {
  const writer = header(family).bytes(CTA_TUPLE_ORIG | 0x8000, tuple);
  // The id distinguishes a flow from a later one with the same tuple.
  if (id !== undefined) writer.bytes(CTA_ID, id);
  return { type: IPCTNL_MSG_CT_DELETE, flags: NLM_F_ACK, payload: writer.finish() };
}

function partOf(tuple: Uint8Array, type: number): Attributes | undefined {
  const part = readAttributes(tuple).get(type);
  return part && readAttributes(part);
}

function addressIn(tuple: Uint8Array, which: "source" | "destination"): string | undefined {
  const part = partOf(tuple, CTA_TUPLE_IP);
  const bytes = part?.get(addressTypes.ip[which]) ?? part?.get(addressTypes.ip6[which]);
  return bytes?.length === 4 || bytes?.length === 16 ? formatAddress(bytes) : undefined;
}

/** With version 1 the family of the header restricts a filter (Linux 5.8). */
function header(family: TableFamily): AttributeWriter {
  return new AttributeWriter().octets(addressFamily(family), 1, 0, 0);
}
