/** Looks up the route of packets to an address: RTM_GETROUTE without a dump. */
import { addressBytes, familyOf } from "../net/address.ts";
import { readAttributes, u8Of, u32Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { addressFamily } from "./family.ts";
import type { Reply, Request } from "./message.ts";
import { RTA_DST, RTA_GATEWAY, RTA_OIF, RTA_VIA, RTM_F_FIB_MATCH, routeHeaderLength } from "./route.ts";
import { addressIn, RTM_GETROUTE, requestWithAck } from "./rtnetlink.ts";

/** The result of a lookup. */
export interface Way {
  /** RTN_*. */
  readonly type: number;
  /** The route's destination with its prefix length, or the requested address. */
  readonly network: string;
  /** Whether it has a gateway. */
  readonly leadsAway: boolean;
  readonly gateway: string | undefined;
  /** The index of the link. */
  readonly link: number | undefined;
}

/** Requests the route of packets to an address; with `matched`, the route in the table, otherwise the one for this destination. */
export function lookUpRoute(address: string, { matched = false } = {}): Request {
  const bytes = addressBytes(address);
  // struct rtmsg: family, destination's length; a lookup reads no other field than the flags.
  const writer = new AttributeWriter()
    .octets(addressFamily(familyOf(address)), bytes.length * 8, 0, 0)
    .word(0)
    .word(matched ? RTM_F_FIB_MATCH : 0);
  return requestWithAck(RTM_GETROUTE, 0, writer.bytes(RTA_DST, bytes).finish());
}

/** Decodes the answer about an address. Throws `MalformedError`. */
export function readWay({ payload }: Reply, address: string): Way {
  const attributes = readAttributes(payload, routeHeaderLength);
  const gateway = addressIn(attributes, RTA_GATEWAY);
  const link = attributes.get(RTA_OIF);
  const anything = familyOf(address) === 4 ? "0.0.0.0" : "::";
  return {
    type: u8Of(payload, 7),
    network: `${addressIn(attributes, RTA_DST) ?? anything}/${u8Of(payload, 1)}`,
    leadsAway: gateway !== undefined || attributes.has(RTA_VIA),
    gateway,
    link: link && u32Of(link),
  };
}
