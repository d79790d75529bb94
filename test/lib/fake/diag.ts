/** A model of sock_diag: the listening sockets of a network namespace. It reads and writes the kernel's bytes. */
import { addressBytes } from "../../../src/net/address.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import { decodeDatagram, encodeDatagram, NLMSG_DONE } from "../../../src/netlink/message.ts";

export interface FakeListener {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly address: string;
  readonly port: number;
  readonly inode: number;
  /** IPV6_V6ONLY. */
  readonly only?: boolean;
}

const protocols = { tcp: 6, udp: 17, sctp: 132 } as const;
const states = { tcp: 10, udp: 7, sctp: 10 } as const;

export class FakeDiag {
  listeners: FakeListener[] = [];
  /** The number of dumps so far. */
  dumps = 0;

  handle(datagram: Uint8Array): Uint8Array[] {
    return decodeDatagram(datagram).flatMap(({ type, sequence, payload }) => {
      if (type !== 20 || payload.length !== 56) throw new Error(`the model does not know message ${type}`);
      this.dumps++;
      const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
      const [family, protocol] = payload;
      const port = view.getUint16(8);
      const found = this.listeners.filter(
        (one) =>
          protocols[one.protocol] === protocol &&
          (one.address.includes(":") ? 10 : 2) === family &&
          (view.getUint32(4, true) & (1 << states[one.protocol])) !== 0 &&
          (port === 0 || port === one.port),
      );
      return [
        ...found.map((one) => encodeDatagram([{ type: 20, flags: 2, payload: messageOf(one) }], sequence)),
        encodeDatagram([{ type: NLMSG_DONE, flags: 2, payload: new Uint8Array(4) }], sequence),
      ];
    });
  }
}

/** `struct inet_diag_msg`, and INET_DIAG_SKV6ONLY of an IPv6 socket. */
function messageOf({ protocol, address, port, inode, only = false }: FakeListener): Uint8Array {
  const bytes = addressBytes(address);
  const header = new Uint8Array(72);
  const view = new DataView(header.buffer);
  header.set([bytes.length === 16 ? 10 : 2, states[protocol]]);
  view.setUint16(4, port);
  header.set(bytes, 8);
  view.setUint32(68, inode, true);
  const attributes = bytes.length === 16 ? new AttributeWriter().u8(11, only ? 1 : 0).finish() : new Uint8Array();
  const message = new Uint8Array(header.length + attributes.length);
  message.set(header);
  message.set(attributes, header.length);
  return message;
}
