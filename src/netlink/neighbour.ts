/** Neighbour entries: `struct ndmsg` and NDA_* (linux/neighbour.h). */
import { addressBytes, type Family, familyOf } from "../net/address.ts";
import { formatMac, parseMac } from "../net/mac.ts";
import { i32Of, readAttributes, u16Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { addressFamily } from "./family.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Reply, type Request } from "./message.ts";
import { addressIn, dump, RTM_DELNEIGH, RTM_GETNEIGH, RTM_NEWNEIGH, requestWithAck } from "./rtnetlink.ts";

export const NDA_DST = 1;
export const NDA_LLADDR = 2;
export const NDA_IFINDEX = 8;
export const NUD_PERMANENT = 0x80;
export const neighbourHeaderLength = 12;

export interface NeighbourEntry {
  readonly index: number;
  readonly address: string | undefined;
  readonly mac: string | undefined;
  readonly permanent: boolean;
}

/** Adds a permanent entry. With `replace` it replaces an existing one; without it, an existing one is `EEXIST`. */
export function addNeighbour(index: number, address: string, mac: string, replace: boolean): Request {
  const flags = NLM_F_CREATE | (replace ? NLM_F_REPLACE : NLM_F_EXCL);
  const lladdr = parseMac(mac);
  if (lladdr === undefined) throw new RangeError(`cannot parse MAC address "${mac}"`);
  return requestWithAck(RTM_NEWNEIGH, flags, neighbourHeader(index, address).bytes(NDA_LLADDR, lladdr).finish());
}

export function deleteNeighbour(index: number, address: string): Request {
  return requestWithAck(RTM_DELNEIGH, 0, neighbourHeader(index, address).finish());
}

/** Requests the entries of a family, or those of one link. */
export function dumpNeighbours(family: Family, index?: number): Request {
  const writer = new AttributeWriter().octets(addressFamily(family), 0, 0, 0).word(0).word(0);
  if (index !== undefined) writer.u32(NDA_IFINDEX, index);
  return dump(RTM_GETNEIGH, writer.finish());
}

/** Reads an RTM_NEWNEIGH. Throws `MalformedError`. */
export function readNeighbour({ payload }: Reply): NeighbourEntry {
  const attributes = readAttributes(payload, neighbourHeaderLength);
  const mac = attributes.get(NDA_LLADDR);
  return {
    index: i32Of(payload, 4),
    address: addressIn(attributes, NDA_DST),
    mac: mac && formatMac(mac),
    permanent: (u16Of(payload, 8) & NUD_PERMANENT) !== 0,
  };
}

/** ndm_family, pads, ndm_ifindex, ndm_state, ndm_flags, ndm_type; then the address. */
function neighbourHeader(index: number, address: string): AttributeWriter {
  const writer = new AttributeWriter().octets(addressFamily(familyOf(address)), 0, 0, 0).word(index);
  return writer.halves(NUD_PERMANENT, 0).bytes(NDA_DST, addressBytes(address));
}
