/** Addresses and neighbours of the fake kernel. */

import { familyOf, formatAddress, parseAddress } from "../../../src/net/address.ts";
import { formatMac, parseMac } from "../../../src/net/mac.ts";
import {
  addressHeaderLength,
  IFA_ADDRESS,
  IFA_F_NOPREFIXROUTE,
  IFA_FLAGS,
  IFA_LOCAL,
} from "../../../src/netlink/address.ts";
import { i32Of, readAttributes, u8Of, u16Of, u32Of } from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import { addressFamily } from "../../../src/netlink/family.ts";
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, type Reply } from "../../../src/netlink/message.ts";
import { NDA_DST, NDA_LLADDR, NUD_PERMANENT, neighbourHeaderLength } from "../../../src/netlink/neighbour.ts";
import {
  RTM_DELADDR,
  RTM_DELNEIGH,
  RTM_GETADDR,
  RTM_GETNEIGH,
  RTM_NEWADDR,
  RTM_NEWNEIGH,
} from "../../../src/netlink/rtnetlink.ts";
import { Refused } from "./errno.ts";
import type { Answer, Handler } from "./kernel.ts";
import type { FakeLink, FakeNetns } from "./netns.ts";

export const addressHandlers: Readonly<Record<number, Handler>> = {
  [RTM_NEWADDR]: newAddress,
  [RTM_DELADDR]: deleteAddress,
  [RTM_GETADDR]: getAddresses,
  [RTM_NEWNEIGH]: newNeighbour,
  [RTM_DELNEIGH]: deleteNeighbour,
  [RTM_GETNEIGH]: getNeighbours,
};

function newAddress(netns: FakeNetns, { payload, flags }: Reply): readonly Answer[] {
  const { link, address } = addressIn(netns, payload);
  if (familyOf(address) === 6 && netns.sysctl.get(`ipv6/conf/${link.name}/disable_ipv6`) !== "0") {
    throw new Refused("EACCES", "ipv6: IPv6 is disabled on this device");
  }
  if (link.addresses.includes(address)) {
    if ((flags & NLM_F_EXCL) !== 0) throw new Refused("EEXIST", "ipv4: Address already assigned");
    return [];
  }
  const more = readAttributes(payload, addressHeaderLength).get(IFA_FLAGS);
  netns.addAddress(link, address, more !== undefined && (u32Of(more) & IFA_F_NOPREFIXROUTE) !== 0);
  return [];
}

function deleteAddress(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  const { link, address } = addressIn(netns, payload);
  if (!link.addresses.includes(address)) throw new Refused("EADDRNOTAVAIL", "ipv4: Address not found");
  netns.deleteAddress(link, address);
  return [];
}

function getAddresses(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  return [...netns.links.values()].flatMap(({ index, addresses }) =>
    addresses
      .filter((address) => addressFamily(familyOf(address)) === u8Of(payload))
      .map((address) => {
        const [text, length] = address.split("/") as [string, string];
        const writer = new AttributeWriter().octets(u8Of(payload), Number(length), 0x80, 0).word(index);
        const bytes = parseAddress(text) as Uint8Array;
        if (bytes.length === 4) writer.bytes(IFA_LOCAL, bytes);
        return { type: RTM_NEWADDR, payload: writer.bytes(IFA_ADDRESS, bytes).finish() };
      }),
  );
}

function addressIn(netns: FakeNetns, payload: Uint8Array): { link: FakeLink; address: string } {
  const attributes = readAttributes(payload, addressHeaderLength);
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  const length = u8Of(payload, 1);
  if (bytes === undefined || length > bytes.length * 8) throw new Refused("EINVAL");
  if (bytes.length === 16 && !netns.ipv6) throw new Refused("EOPNOTSUPP");
  const link = netns.links.get(u32Of(payload, 4));
  if (link === undefined) throw new Refused("ENODEV", "ipv4: Device not found");
  return { link, address: `${formatAddress(bytes)}/${length}` };
}

function newNeighbour(netns: FakeNetns, { payload, flags }: Reply): readonly Answer[] {
  const { index, address, mac, state } = neighbourIn(netns, payload);
  if (mac === undefined || state !== NUD_PERMANENT)
    throw new Error("only permanent neighbours with a MAC are modelled");
  const found = netns.neighbours.find((has) => has.index === index && has.address === address);
  if (found && (flags & NLM_F_EXCL) !== 0) throw new Refused("EEXIST");
  if (found && (flags & NLM_F_REPLACE) !== 0) found.mac = mac;
  if (!found && (flags & NLM_F_CREATE) === 0) throw new Refused("ENOENT");
  if (!found) netns.neighbours.push({ index, address, mac });
  return [];
}

function deleteNeighbour(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  const { index, address } = neighbourIn(netns, payload);
  const at = netns.neighbours.findIndex((has) => has.index === index && has.address === address);
  if (at < 0) throw new Refused("ENOENT");
  netns.neighbours.splice(at, 1);
  return [];
}

function getNeighbours(netns: FakeNetns, { payload }: Reply): readonly Answer[] {
  return netns.neighbours
    .filter(({ address }) => addressFamily(familyOf(address)) === u8Of(payload))
    .map(({ index, address, mac }) => {
      const writer = new AttributeWriter().octets(u8Of(payload), 0, 0, 0).word(index).halves(NUD_PERMANENT, 0);
      writer.bytes(NDA_DST, parseAddress(address) as Uint8Array).bytes(NDA_LLADDR, parseMac(mac) as Uint8Array);
      return { type: RTM_NEWNEIGH, payload: writer.finish() };
    });
}

function neighbourIn(netns: FakeNetns, payload: Uint8Array) {
  const attributes = readAttributes(payload, neighbourHeaderLength);
  const address = attributes.get(NDA_DST);
  const mac = attributes.get(NDA_LLADDR);
  const index = i32Of(payload, 4);
  if (address === undefined) throw new Refused("EINVAL", "Network address not specified");
  if (!netns.links.has(index)) throw new Refused("ENODEV");
  return { index, address: formatAddress(address), mac: mac && formatMac(mac), state: u16Of(payload, 8) };
}
