/** Links: `struct ifinfomsg` and IFLA_* (linux/if_link.h). */
import { formatMac, parseMac } from "../net/mac.ts";
import { type Attributes, i32Of, readAttributes, stringOf, u32Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Reply, type Request } from "./message.ts";
import { dump, RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK, requestWithAck } from "./rtnetlink.ts";

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINK = 5;
export const IFLA_TXQLEN = 13;
export const IFLA_LINKINFO = 18;
export const IFLA_IFALIAS = 20;
export const IFLA_GROUP = 27;
export const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;
export const IFLA_NUM_TX_QUEUES = 31;
export const IFLA_NUM_RX_QUEUES = 32;
export const IFLA_LINK_NETNSID = 37;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const VETH_INFO_PEER = 1;
export const IFF_UP = 1;

/** Omits the counters from the answer (Linux 4.6; older kernels send them). */
const RTEXT_FILTER_SKIP_STATS = 8;
export const linkHeaderLength = 16;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  readonly mac: string | undefined;
  readonly mtu: number;
  readonly alias: string | undefined;
  /** `veth`, `ifb`, …; absent for real devices. */
  readonly kind: string | undefined;
  /** The index of a veth's peer, in the peer's namespace. */
  readonly peerIndex: number | undefined;
  /**
   * The ID of the peer's namespace, as assigned by this namespace; absent if the peer is in this namespace.
   * -1 (NETNSA_NSID_NOT_ASSIGNED) if that namespace is being removed.
   */
  readonly peerNetnsId: number | undefined;
  readonly txQueueLength: number;
  readonly txQueues: number;
  readonly rxQueues: number;
  /** 0: the group of all links that were put into none. */
  readonly group: number;
}

export interface LinkChanges {
  readonly up?: boolean;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  /** Empty: removes it. */
  readonly alias?: string | undefined;
  readonly txQueueLength?: number | undefined;
  readonly group?: number | undefined;
}

/** Sets the alias of a link by index, or by name, which saves a request for the index. */
export function setLink(link: string | number, changes: LinkChanges): Request {
  const writer = linkHeader(typeof link === "number" ? link : 0, changes.up);
  if (typeof link === "string") writer.string(IFLA_IFNAME, link);
  if (changes.mac !== undefined) writer.bytes(IFLA_ADDRESS, macBytes(changes.mac));
  if (changes.mtu !== undefined) writer.u32(IFLA_MTU, changes.mtu);
  if (changes.txQueueLength !== undefined) writer.u32(IFLA_TXQLEN, changes.txQueueLength);
  if (changes.group !== undefined) writer.u32(IFLA_GROUP, changes.group);
  if (changes.alias === "") writer.flag(IFLA_IFALIAS);
  else if (changes.alias !== undefined) writer.string(IFLA_IFALIAS, changes.alias);
  return requestWithAck(RTM_SETLINK, 0, writer.finish());
}

export function deleteLink(index: number): Request {
  return requestWithAck(RTM_DELLINK, 0, linkHeader(index).finish());
}

/**
 * Deletes every link of a group, which must not be 0, with one wait for all (rtnl_group_dellink in net/core/rtnetlink.c). Refused with ENODEV
 * for an empty group, and with EOPNOTSUPP, without deleting any, when one of the links cannot be deleted.
 */
export function deleteLinkGroup(group: number): Request {
  return requestWithAck(RTM_DELLINK, 0, linkHeader(0).u32(IFLA_GROUP, group).finish());
}

/** Requests one link by name or index. */
export function getLink(link: string | number): Request {
  const writer = linkHeader(typeof link === "number" ? link : 0);
  if (typeof link === "string") writer.string(IFLA_IFNAME, link);
  return requestWithAck(RTM_GETLINK, 0, writer.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish());
}

/**
 * A request that the kernel always rejects: with EINVAL (too many queues) if it knows the kind, otherwise with EOPNOTSUPP
 * (rtnl_newlink_create in net/core/rtnetlink.c checks the kind first).
 */
export function probeLinkKind(kind: string): Request {
  const writer = linkHeader(0).u32(IFLA_NUM_TX_QUEUES, 0xffff);
  writer.nest(IFLA_LINKINFO, () => writer.string(IFLA_INFO_KIND, kind));
  return requestWithAck(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, writer.finish());
}

export function dumpLinks(): Request {
  return dump(RTM_GETLINK, linkHeader(0).u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS).finish());
}

/** Reads an RTM_NEWLINK. Throws `MalformedError`; so do the link's properties, which are read on access. */
export function readLink(reply: Reply): Link {
  return new DescribedLink(reply.payload);
}

/** A link as the kernel described it, read on access: most callers need two or three properties. */
class DescribedLink implements Link {
  readonly #payload: Uint8Array;
  readonly #attributes: Attributes;

  constructor(payload: Uint8Array) {
    this.#payload = payload;
    this.#attributes = readAttributes(payload, linkHeaderLength);
  }

  get index(): number {
    return i32Of(this.#payload, 4);
  }

  get name(): string {
    return this.#text(IFLA_IFNAME) ?? "";
  }

  get up(): boolean {
    return (u32Of(this.#payload, 8) & IFF_UP) !== 0;
  }

  get mac(): string | undefined {
    const mac = this.#attributes.get(IFLA_ADDRESS);
    return mac && formatMac(mac);
  }

  get mtu(): number {
    return this.#number(IFLA_MTU) ?? 0;
  }

  get alias(): string | undefined {
    return this.#text(IFLA_IFALIAS);
  }

  get kind(): string | undefined {
    const info = this.#attributes.get(IFLA_LINKINFO);
    const kind = info && readAttributes(info).get(IFLA_INFO_KIND);
    return kind && stringOf(kind);
  }

  get peerIndex(): number | undefined {
    return this.#number(IFLA_LINK);
  }

  get peerNetnsId(): number | undefined {
    const netnsId = this.#attributes.get(IFLA_LINK_NETNSID);
    return netnsId && i32Of(netnsId);
  }

  get txQueueLength(): number {
    return this.#number(IFLA_TXQLEN) ?? 0;
  }

  get txQueues(): number {
    return this.#number(IFLA_NUM_TX_QUEUES) ?? 1;
  }

  get rxQueues(): number {
    return this.#number(IFLA_NUM_RX_QUEUES) ?? 1;
  }

  get group(): number {
    return this.#number(IFLA_GROUP) ?? 0;
  }

  #number(type: number): number | undefined {
    const value = this.#attributes.get(type);
    return value && u32Of(value);
  }

  #text(type: number): string | undefined {
    const value = this.#attributes.get(type);
    return value && stringOf(value);
  }
}

/** ifi_family, pad, ifi_type, ifi_index, ifi_flags, ifi_change (IFF_UP, if that flag is to change). */
export function linkHeader(index: number, up?: boolean, writer = new AttributeWriter()): AttributeWriter {
  const header = writer
    .word(0)
    .word(index)
    .word(up ? IFF_UP : 0);
  return header.word(up === undefined ? 0 : IFF_UP);
}

export function macBytes(mac: string): Uint8Array {
  const bytes = parseMac(mac);
  if (bytes === undefined) throw new RangeError(`cannot parse MAC address "${mac}"`);
  return bytes;
}
