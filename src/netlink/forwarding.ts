/** Forwarding entries (FDB) of VXLAN devices: `struct ndmsg` of family AF_BRIDGE and NDA_* (linux/neighbour.h). */
import { addressBytes } from "../net/address.ts";
import { formatMac } from "../net/mac.ts";
import { i32Of, readAttributes, u8Of, u16Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { macBytes } from "./link.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Reply, type Request } from "./message.ts";
import { NDA_DST, NDA_IFINDEX, NDA_LLADDR, NUD_PERMANENT, neighbourHeaderLength } from "./neighbour.ts";
import { addressIn, dump, RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH, requestWithAck } from "./rtnetlink.ts";

const AF_BRIDGE = 7;
/** No address resolution: the entry does not age. */
const NUD_NOARP = 0x40;
/** The entry is the device's own, not that of the bridge that it belongs to. */
const NTF_SELF = 2;

export interface ForwardingState {
  readonly index: number;
  readonly mac: string;
  /** Where frames for the MAC address go. */
  readonly destination: string | undefined;
  readonly permanent: boolean;
}

/** Adds a permanent entry. With `replace` it replaces the one for this MAC address; without it, an existing one is `EEXIST`. */
export function addForwarding(index: number, mac: string, destination: string, replace: boolean): Request {
  const flags = NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL);
  const writer = forwardingHeader(index).bytes(NDA_LLADDR, macBytes(mac)).bytes(NDA_DST, addressBytes(destination));
  return requestWithAck(RTM_NEWNEIGH, flags, writer.finish());
}

/** Without a destination, the entries for all destinations. A missing one is `ENOENT`. */
export function deleteForwarding(index: number, mac: string, destination?: string): Request {
  const writer = forwardingHeader(index).bytes(NDA_LLADDR, macBytes(mac));
  if (destination !== undefined) writer.bytes(NDA_DST, addressBytes(destination));
  return requestWithAck(RTM_DELNEIGH, 0, writer.finish());
}

/** Requests the entries of one link; kernels before 5.0 return those of all links. */
export function dumpForwarding(index: number): Request {
  const writer = new AttributeWriter().octets(AF_BRIDGE, 0, 0, 0).word(0).word(0);
  return dump(RTM_GETNEIGH, writer.u32(NDA_IFINDEX, index).finish());
}

/** Reads an RTM_NEWNEIGH or RTM_DELNEIGH; `undefined` if it is not about a device's own forwarding entry. Throws `MalformedError`. */
export function readForwarding({ payload }: Pick<Reply, "payload">): ForwardingState | undefined {
  if (u8Of(payload) !== AF_BRIDGE || (u8Of(payload, 10) & NTF_SELF) === 0) return undefined;
  const attributes = readAttributes(payload, neighbourHeaderLength);
  const mac = attributes.get(NDA_LLADDR);
  if (mac === undefined) return undefined;
  return {
    index: i32Of(payload, 4),
    mac: formatMac(mac),
    destination: addressIn(attributes, NDA_DST),
    permanent: (u16Of(payload, 8) & NUD_PERMANENT) !== 0,
  };
}

/** ndm_family, pads, ndm_ifindex, ndm_state, ndm_flags, ndm_type. */
function forwardingHeader(index: number): AttributeWriter {
  const writer = new AttributeWriter().octets(AF_BRIDGE, 0, 0, 0).word(index);
  return writer.halves(NUD_NOARP | NUD_PERMANENT, NTF_SELF);
}
