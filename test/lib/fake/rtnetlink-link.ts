/** RTM_NEWLINK, RTM_SETLINK, RTM_DELLINK, RTM_GETLINK of the fake kernel. */
import { interfaceNameFault } from "../../../src/net/interface-name.ts";
import { formatMac, parseMac } from "../../../src/net/mac.ts";
import { type Attributes, i32Of, readAttributes, stringOf, u32Of } from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import * as link from "../../../src/netlink/link.ts";
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, type Reply } from "../../../src/netlink/message.ts";
import { RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK } from "../../../src/netlink/rtnetlink.ts";
import type { LinkKind } from "../../../src/plan/resource.ts";
import { Refused } from "./errno.ts";
import type { Answer, FakeKernel, Handler } from "./kernel.ts";
import type { FakeLink, FakeNetns } from "./netns.ts";

export const linkHandlers: Readonly<Record<number, Handler>> = {
  [RTM_NEWLINK]: newLink,
  [RTM_SETLINK]: setLink,
  [RTM_DELLINK]: deleteLink,
  [RTM_GETLINK]: getLink,
};

function newLink(netns: FakeNetns, request: Reply, kernel: FakeKernel): readonly Answer[] {
  const attributes = readAttributes(request.payload, link.linkHeaderLength);
  const info = readAttributes(attributes.get(link.IFLA_LINKINFO) ?? new Uint8Array());
  const kind = stringOf(info.get(link.IFLA_INFO_KIND) ?? new Uint8Array());
  if (kernel.missingModules.has(kind)) throw new Refused("EOPNOTSUPP", "Unknown device type");
  const name = nameIn(attributes);
  if ((request.flags & NLM_F_CREATE) === 0) return setLink(netns, request);
  if (netns.find(name) !== undefined) throw new Refused("EEXIST");
  if ((request.flags & NLM_F_EXCL) === 0) throw new Error(`NEWLINK ${name} without NLM_F_EXCL`);
  if (!isLinkKind(kind)) throw new Refused("EOPNOTSUPP", "Unknown device type");
  makers[kind](netns, endOf(attributes), info, kernel);
  return [];
}

type Maker = (netns: FakeNetns, end: End, info: Attributes, kernel: FakeKernel) => void;

/** What the kernel makes of each kind. */
const makers: Readonly<Record<LinkKind, Maker>> = {
  veth: newVeth,
  ifb: (netns, end, _, kernel) =>
    void netns.addLink({ ...end, kind: "ifb", mac: end.mac ?? kernel.randomMac(), hasRandomMac: true }),
};

function isLinkKind(kind: string): kind is LinkKind {
  return Object.hasOwn(makers, kind);
}

function newVeth(netns: FakeNetns, end: End, info: Attributes, kernel: FakeKernel): void {
  const data = readAttributes(info.get(link.IFLA_INFO_DATA) ?? new Uint8Array());
  const peerBytes = data.get(link.VETH_INFO_PEER);
  if (peerBytes === undefined) throw new Error("a veth without a described peer");
  const attributes = readAttributes(peerBytes, link.linkHeaderLength);
  const fd = attributes.get(link.IFLA_NET_NS_FD);
  const peerNetns = fd === undefined ? netns : kernel.descriptors.get(u32Of(fd));
  if (peerNetns === undefined) throw new Refused("EINVAL");
  const peer = endOf(attributes);
  if (peerNetns.find(peer.name) !== undefined || (peerNetns === netns && peer.name === end.name)) {
    throw new Refused("EEXIST");
  }
  const inside = peerNetns.addLink({ ...peer, kind: "veth", mac: peer.mac ?? kernel.randomMac() });
  const made = netns.addLink({ ...end, kind: "veth", mac: end.mac ?? kernel.randomMac() });
  made.peer = inside;
  inside.peer = made;
}

interface End {
  readonly name: string;
  readonly mac: string | undefined;
  readonly mtu: number;
  readonly queues: number;
  readonly txQueueLength: number;
}

function endOf(attributes: Attributes): End {
  return {
    name: nameIn(attributes),
    mac: macIn(attributes),
    mtu: mtuIn(attributes) ?? 1500,
    queues: numberIn(attributes, link.IFLA_NUM_TX_QUEUES) ?? 1,
    txQueueLength: numberIn(attributes, link.IFLA_TXQLEN) ?? 1000,
  };
}

function setLink(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  const attributes = readAttributes(payload, link.linkHeaderLength);
  const found = linkOf(netns, payload, attributes);
  const mac = macIn(attributes);
  const mtu = mtuIn(attributes);
  const alias = attributes.get(link.IFLA_IFALIAS);
  if (alias && alias.length > 256) throw new Refused("EINVAL");
  if (mac !== undefined) found.mac = mac;
  if (mtu !== undefined) found.mtu = mtu;
  if (alias) found.alias = alias.length === 0 ? undefined : stringOf(alias);
  found.txQueueLength = numberIn(attributes, link.IFLA_TXQLEN) ?? found.txQueueLength;
  found.group = numberIn(attributes, link.IFLA_GROUP) ?? found.group;
  const [flags, change] = [u32Of(payload, 8), u32Of(payload, 12)];
  const up = (change & link.IFF_UP) === 0 ? found.up : (flags & link.IFF_UP) !== 0;
  if (up && !found.up) netns.raise(found);
  if (!up && found.up) netns.lower(found);
  return [];
}

function deleteLink(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  const attributes = readAttributes(payload, link.linkHeaderLength);
  const group = numberIn(attributes, link.IFLA_GROUP);
  const isOne = i32Of(payload, 4) !== 0 || attributes.get(link.IFLA_IFNAME) !== undefined;
  const found = isOne || group === undefined ? [linkOf(netns, payload, attributes)] : groupOf(netns, group);
  if (found.some(({ kind }) => kind === "loopback" || kind === "device")) throw new Refused("EOPNOTSUPP");
  for (const one of found) netns.deleteLink(one);
  return [];
}

/** rtnl_group_dellink. */
function groupOf(netns: FakeNetns, group: number): readonly FakeLink[] {
  if (group === 0) throw new Refused("EPERM");
  const members = [...netns.links.values()].filter((found) => found.group === group);
  if (members.length === 0) throw new Refused("ENODEV");
  return members;
}

function getLink(netns: FakeNetns, { payload, flags }: Reply): readonly Answer[] {
  const isDump = (flags & NLM_F_DUMP) === NLM_F_DUMP;
  const attributes = readAttributes(payload, link.linkHeaderLength);
  const links = isDump ? [...netns.links.values()] : [linkOf(netns, payload, attributes)];
  return links.map((found) => ({ type: RTM_NEWLINK, payload: describe(found) }));
}

function describe(found: FakeLink): Uint8Array {
  const writer = new AttributeWriter()
    .halves(0, 1)
    .word(found.index)
    .word(found.up ? link.IFF_UP : 0)
    .word(0);
  writer.string(link.IFLA_IFNAME, found.name).u32(link.IFLA_TXQLEN, found.txQueueLength).u32(link.IFLA_MTU, found.mtu);
  writer.u32(link.IFLA_NUM_TX_QUEUES, found.queues).u32(link.IFLA_NUM_RX_QUEUES, found.queues);
  writer.u32(link.IFLA_GROUP, found.group);
  writer.bytes(link.IFLA_ADDRESS, parseMac(found.mac) as Uint8Array);
  if (found.alias !== undefined) writer.string(link.IFLA_IFALIAS, found.alias);
  if (found.peer) {
    writer.u32(link.IFLA_LINK, found.peer.index);
    if (found.peer.netns !== found.netns) writer.u32(link.IFLA_LINK_NETNSID, found.peer.netns.dying ? 0xffffffff : 0);
  }
  if (isLinkKind(found.kind)) {
    writer.nest(link.IFLA_LINKINFO, () => writer.string(link.IFLA_INFO_KIND, found.kind));
  }
  return writer.finish();
}

function linkOf(netns: FakeNetns, payload: Uint8Array, attributes: Attributes): FakeLink {
  const index = i32Of(payload, 4);
  const found = index !== 0 ? netns.links.get(index) : netns.find(nameIn(attributes));
  if (found === undefined) throw new Refused("ENODEV");
  return found;
}

function nameIn(attributes: Attributes): string {
  const name = stringOf(attributes.get(link.IFLA_IFNAME) ?? new Uint8Array());
  if (interfaceNameFault(name) !== undefined) throw new Refused("EINVAL");
  return name;
}

function macIn(attributes: Attributes): string | undefined {
  const mac = attributes.get(link.IFLA_ADDRESS);
  if (mac === undefined) return undefined;
  if (mac.length !== 6) throw new Refused("EINVAL");
  if (((mac[0] ?? 0) & 1) !== 0) throw new Refused("EADDRNOTAVAIL");
  return formatMac(mac);
}

function mtuIn(attributes: Attributes): number | undefined {
  const mtu = numberIn(attributes, link.IFLA_MTU);
  if (mtu !== undefined && (mtu < 68 || mtu > 65535)) throw new Refused("EINVAL", "mtu less than device minimum");
  return mtu;
}

function numberIn(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type);
  return value && u32Of(value);
}
