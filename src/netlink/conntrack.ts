/** ctnetlink (linux/netfilter/nfnetlink_conntrack.h): forgetting the UDP flows to a port. */
import { AttributeWriter, be16Of, readAttributes, u8Of } from "./attribute.ts";
import { NLM_F_ACK, NLM_F_DUMP, type Reply, type Request } from "./message.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = (NFNL_SUBSYS_CTNETLINK << 8) | 1;
const IPCTNL_MSG_CT_DELETE = (NFNL_SUBSYS_CTNETLINK << 8) | 2;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_DST_PORT = 3;
const CTA_ID = 12;
const CTA_FILTER = 25;
const CTA_FILTER_ORIG_FLAGS = 1;
/** CTA_FILTER_F_CTA_PROTO_NUM, CTA_FILTER_F_CTA_PROTO_DST_PORT. */
const protocolAndPort = (1 << 3) | (1 << 5);
const IPPROTO_UDP = 17;
const families = { ip: 2, ip6: 10 } as const;
const headerLength = 4;

/** One flow, as it is named for deletion. */
export interface Flow {
  /** The value of CTA_TUPLE_ORIG. */
  readonly tuple: Uint8Array;
  readonly id: Uint8Array | undefined;
}

/**
 * Deletes the flows of a family whose first packet was UDP to this port, in one request (Linux 5.8). An older kernel does not know the
 * filter, reads the tuple as that of one flow and refuses it: `EINVAL`.
 */
export function deleteUdpFlows(family: "ip" | "ip6", port: number): Request {
  const writer = header(family)
    .nest(CTA_TUPLE_ORIG, (tuple) => {
      tuple.nest(CTA_TUPLE_PROTO, () => {
        tuple.u8(CTA_PROTO_NUM, IPPROTO_UDP).be16(CTA_PROTO_DST_PORT, port);
      });
    })
    .nest(CTA_FILTER, (filter) => {
      filter.u32(CTA_FILTER_ORIG_FLAGS, protocolAndPort);
    });
  return { type: IPCTNL_MSG_CT_DELETE, flags: NLM_F_ACK, payload: writer.finish() };
}

/** Asks for all flows of a family: for kernels without the filter. */
export function dumpFlows(family: "ip" | "ip6"): Request {
  return { type: IPCTNL_MSG_CT_GET, flags: NLM_F_DUMP, payload: header(family).finish() };
}

/** The flow in an answer, if its first packet was UDP to one of these ports. */
export function readUdpFlow({ payload }: Reply, ports: readonly number[]): Flow | undefined {
  const attributes = readAttributes(payload, headerLength);
  const tuple = attributes.get(CTA_TUPLE_ORIG);
  const protocol = tuple && readAttributes(tuple).get(CTA_TUPLE_PROTO);
  if (tuple === undefined || protocol === undefined) return undefined;
  const parts = readAttributes(protocol);
  const number = parts.get(CTA_PROTO_NUM);
  const port = parts.get(CTA_PROTO_DST_PORT);
  if (number === undefined || port === undefined || u8Of(number) !== IPPROTO_UDP) return undefined;
  return ports.includes(be16Of(port)) ? { tuple, id: attributes.get(CTA_ID) } : undefined;
}

/** Deletes one flow; `ENOENT` when it is over. */
export function deleteFlow(family: "ip" | "ip6", { tuple, id }: Flow): Request {
  const writer = header(family).bytes(CTA_TUPLE_ORIG | 0x8000, tuple);
  // The id keeps a flow apart from a later one with the same tuple.
  if (id !== undefined) writer.bytes(CTA_ID, id);
  return { type: IPCTNL_MSG_CT_DELETE, flags: NLM_F_ACK, payload: writer.finish() };
}

/** With version 1 the family of the header restricts a filter (Linux 5.8). */
function header(family: "ip" | "ip6"): AttributeWriter {
  return new AttributeWriter().byte(families[family]).byte(1).halfBe(0);
}
