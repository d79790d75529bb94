/** Addresses of links: `struct ifaddrmsg` and IFA_* (linux/if_addr.h). */
import { addressBytes, type Family, familyOf } from "../net/address.ts";
import { addressOf, lengthOf } from "../net/prefix.ts";
import { readAttributes, u8Of, u32Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { addressFamily } from "./family.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Reply, type Request } from "./message.ts";
import { addressIn, dump, RTM_DELADDR, RTM_GETADDR, RTM_NEWADDR, requestWithAck } from "./rtnetlink.ts";

export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_FLAGS = 8;
export const IFA_F_NODAD = 0x02;
export const IFA_F_NOPREFIXROUTE = 0x200;
export const addressHeaderLength = 8;

export interface InterfaceAddress {
  readonly index: number;
  /** With its prefix length. */
  readonly address: string;
}

/** Adds an address that the link must not have yet (`EEXIST`). `flags`: IFA_F_*. */
export function addAddress(index: number, address: string, flags: number): Request {
  return requestWithAck(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, addressPayload(index, address, flags));
}

export function deleteAddress(index: number, address: string): Request {
  return requestWithAck(RTM_DELADDR, 0, addressPayload(index, address, 0));
}

/** Requests the addresses of a family, or those of one link; kernels before 4.20 return those of all links anyway. */
export function dumpAddresses(family: Family, index = 0): Request {
  return dump(RTM_GETADDR, new AttributeWriter().octets(addressFamily(family), 0, 0, 0).word(index).finish());
}

/** Reads an RTM_NEWADDR. Throws `MalformedError`. */
export function readAddress({ payload }: Reply): InterfaceAddress {
  const attributes = readAttributes(payload, addressHeaderLength);
  // On a point-to-point link IFA_ADDRESS is the peer's address, and only then IPv6 has IFA_LOCAL.
  const address = addressIn(attributes, IFA_LOCAL) ?? addressIn(attributes, IFA_ADDRESS);
  return { index: u32Of(payload, 4), address: `${address}/${u8Of(payload, 1)}` };
}

/** ifa_family, ifa_prefixlen, ifa_flags, ifa_scope, ifa_index. */
function addressPayload(index: number, address: string, flags: number): Uint8Array {
  const bytes = addressBytes(addressOf(address));
  const writer = new AttributeWriter()
    .octets(addressFamily(familyOf(address)), lengthOf(address), flags & 0xff, 0)
    .word(index);
  writer.bytes(IFA_LOCAL, bytes).bytes(IFA_ADDRESS, bytes);
  // The header has room for eight of them.
  if (flags > 0xff) writer.u32(IFA_FLAGS, flags);
  return writer.finish();
}
