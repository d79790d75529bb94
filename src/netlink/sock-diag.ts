/** sock_diag (linux/sock_diag.h, linux/inet_diag.h): finds the sockets of this network namespace that listen on a port. */
import { formatAddress, type TableFamily } from "../net/address.ts";
import { be16Of, readAttributes, u8Of, u32Of } from "./codec/attribute.ts";
import { AttributeWriter } from "./codec/attribute-writer.ts";
import { addressFamily, familyOfNumber } from "./family.ts";
import { NLM_F_DUMP, type Reply, type Request } from "./message.ts";

const SOCK_DIAG_BY_FAMILY = 20;
const INET_DIAG_SKV6ONLY = 11;
const protocols = { tcp: 6, udp: 17, sctp: 132 } as const;
/** Bits of `idiag_states`: TCP_LISTEN, and TCP_CLOSE, the state of an unconnected UDP socket. */
const states = { tcp: 1 << 10, udp: 1 << 7, sctp: 1 << 10 } as const;
/** `struct inet_diag_msg`. */
const headerLength = 72;

export type DiagProtocol = keyof typeof protocols;

export interface Listener {
  readonly port: number;
  /** `0.0.0.0` and `::` mean all addresses. */
  readonly address: string;
  /** An IPv6 socket, which also accepts IPv4 if it listens on `::`. */
  readonly takesIpv4: boolean;
  readonly inode: number;
}

/** Requests the sockets of one family and protocol that listen on a port, or on any port with 0. `ENOENT` if the kernel lacks the module. */
export function dumpListeners(family: TableFamily, protocol: DiagProtocol, port: number): Request {
  const writer = new AttributeWriter().octets(addressFamily(family), protocols[protocol], 0, 0);
  // `struct inet_diag_sockid`: the ports, both addresses, the interface and the cookie.
  writer.word(states[protocol]).octets(port >> 8, port & 0xff, 0, 0);
  for (let words = 0; words < 11; words++) writer.word(0);
  return { type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_DUMP, payload: writer.finish() };
}

/** Throws `MalformedError` on an answer that is too short. */
export function readListener({ payload }: Reply): Listener {
  const isIpv6 = familyOfNumber(payload[0]) === 6;
  const attributes = readAttributes(payload, headerLength);
  const only = attributes.get(INET_DIAG_SKV6ONLY);
  return {
    port: be16Of(payload.subarray(4, 6)),
    address: formatAddress(payload.subarray(8, isIpv6 ? 24 : 12)),
    takesIpv4: !isIpv6 || only === undefined || u8Of(only) === 0,
    inode: u32Of(payload.subarray(68, 72)),
  };
}
