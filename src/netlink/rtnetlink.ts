/** The common parts of rtnetlink (linux/rtnetlink.h): message types, requests. */
import { formatAddress } from "../net/address.ts";
import type { Attributes } from "./codec/attribute.ts";
import { NLM_F_ACK, NLM_F_DUMP, type Request } from "./message.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_SETLINK = 19;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;
export const RTM_NEWRULE = 32;
export const RTM_DELRULE = 33;
export const RTM_GETRULE = 34;
export const RTM_NEWQDISC = 36;
export const RTM_DELQDISC = 37;
export const RTM_GETQDISC = 38;
export const RTM_NEWTFILTER = 44;
export const RTM_DELTFILTER = 45;
export const RTM_GETTFILTER = 46;

/** A request that the kernel answers with an ack. */
export function requestWithAck(type: number, flags: number, payload: Uint8Array): Request {
  return { type, flags: flags | NLM_F_ACK, payload };
}

/** A request for a whole table. */
export function dump(type: number, payload: Uint8Array): Request {
  return { type, flags: NLM_F_DUMP, payload };
}

/** The address of an attribute, as text. */
export function addressIn(attributes: Attributes, type: number): string | undefined {
  const bytes = attributes.get(type);
  return bytes && (bytes.length === 4 || bytes.length === 16) ? formatAddress(bytes) : undefined;
}
