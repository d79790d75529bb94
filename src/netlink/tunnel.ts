/** Tunnel devices: VXLAN (IFLA_VXLAN_*, linux/if_link.h) and IP in IP. */
import { addressBytes, familyOf } from "../net/address.ts";
import { be16Of, readAttributes, stringOf, u8Of, u32Of } from "./codec/attribute.ts";
import type { AttributeWriter } from "./codec/attribute-writer.ts";
import {
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MTU,
  linkHeader,
  linkHeaderLength,
  macBytes,
} from "./link.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Reply, type Request } from "./message.ts";
import { addressIn, RTM_NEWLINK, requestWithAck } from "./rtnetlink.ts";

const IFLA_VXLAN_ID = 1;
const IFLA_VXLAN_GROUP = 2;
const IFLA_VXLAN_LINK = 3;
const IFLA_VXLAN_LOCAL = 4;
const IFLA_VXLAN_LEARNING = 7;
const IFLA_VXLAN_PORT = 15;
const IFLA_VXLAN_GROUP6 = 16;
const IFLA_VXLAN_LOCAL6 = 17;
const IFLA_VXLAN_GBP = 23;
const IFLA_VXLAN_COLLECT_METADATA = 25;

export interface VxlanProperties {
  readonly vni: number;
  /** The destination port, UDP. */
  readonly port: number;
  /** The source of the outer packets. */
  readonly local: string | undefined;
  /** The link that sends the outer packets. */
  readonly deviceIndex: number | undefined;
}

/** As the kernel reports it. */
export interface VxlanState extends VxlanProperties {
  /** Whether it is more than a list of destinations: it learns, sends unknown frames to a group or has its destinations from elsewhere. */
  readonly isExtended: boolean;
}

/** Creates a device that learns nothing; an existing name or identifier is `EEXIST`, a kernel without VXLAN `EOPNOTSUPP`. */
export function createVxlan(
  { name, mac, mtu }: { readonly name: string; readonly mac: string; readonly mtu: number },
  { vni, port, local, deviceIndex }: VxlanProperties,
): Request {
  const writer = linkHeader(0).string(IFLA_IFNAME, name).bytes(IFLA_ADDRESS, macBytes(mac)).u32(IFLA_MTU, mtu);
  return newLink(writer, "vxlan", () => {
    writer.u32(IFLA_VXLAN_ID, vni);
    if (deviceIndex !== undefined) writer.u32(IFLA_VXLAN_LINK, deviceIndex);
    if (local !== undefined) {
      writer.bytes(familyOf(local) === 4 ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, addressBytes(local));
    }
    writer.u8(IFLA_VXLAN_LEARNING, 0).be16(IFLA_VXLAN_PORT, port);
  });
}

/** Creates a device for packets from and to everywhere, or, by loading the module, the fallback device: then `EEXIST`. */
export function createIpip(name: string, mtu: number): Request {
  return newLink(linkHeader(0).string(IFLA_IFNAME, name).u32(IFLA_MTU, mtu), "ipip");
}

function newLink(writer: AttributeWriter, kind: string, data?: () => void): Request {
  writer.nest(IFLA_LINKINFO, () => {
    writer.string(IFLA_INFO_KIND, kind);
    if (data !== undefined) writer.nest(IFLA_INFO_DATA, data);
  });
  return requestWithAck(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, writer.finish());
}

/** Reads an RTM_NEWLINK; `undefined` if it is not a VXLAN device. Throws `MalformedError`. */
export function readVxlan({ payload }: Reply): VxlanState | undefined {
  const info = readAttributes(payload, linkHeaderLength).get(IFLA_LINKINFO);
  const described = info && readAttributes(info);
  const kind = described?.get(IFLA_INFO_KIND);
  const data = described?.get(IFLA_INFO_DATA);
  if (kind === undefined || stringOf(kind) !== "vxlan" || data === undefined) return undefined;
  const attributes = readAttributes(data);
  const number = (type: number): number | undefined => {
    const value = attributes.get(type);
    return value && u32Of(value);
  };
  const flag = (type: number): boolean => {
    const value = attributes.get(type);
    // Flags without a value are set by being there.
    return value !== undefined && (value.length === 0 || u8Of(value) !== 0);
  };
  const port = attributes.get(IFLA_VXLAN_PORT);
  const groups = [IFLA_VXLAN_GROUP, IFLA_VXLAN_GROUP6].some((type) => attributes.has(type));
  return {
    vni: number(IFLA_VXLAN_ID) ?? 0,
    port: port === undefined ? 0 : be16Of(port),
    local: addressIn(attributes, IFLA_VXLAN_LOCAL) ?? addressIn(attributes, IFLA_VXLAN_LOCAL6),
    deviceIndex: number(IFLA_VXLAN_LINK),
    isExtended: groups || flag(IFLA_VXLAN_LEARNING) || flag(IFLA_VXLAN_GBP) || flag(IFLA_VXLAN_COLLECT_METADATA),
  };
}
