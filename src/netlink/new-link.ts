/** Creates links (RTM_NEWLINK), each kind with its own data (linux/if_link.h). */
import type { AttributeWriter } from "./codec/attribute-writer.ts";
import {
  IFLA_ADDRESS,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_NUM_RX_QUEUES,
  IFLA_NUM_TX_QUEUES,
  IFLA_TXQLEN,
  linkHeader,
  macBytes,
  VETH_INFO_PEER,
} from "./link.ts";
import { NLM_F_CREATE, NLM_F_EXCL, type Request } from "./message.ts";
import { RTM_NEWLINK, requestWithAck } from "./rtnetlink.ts";

/** What a new link consists of, by its kind in the kernel's words. */
export interface NewLinks {
  /** A pair; the peer is created in the namespace of a file descriptor. */
  readonly veth: {
    readonly end: NewEnd;
    readonly peer: NewEnd;
    readonly peerNetnsFd: number;
    readonly mtu?: number | undefined;
    /** Transmit and receive queues of both ends. */
    readonly queues?: number | undefined;
  };
  readonly ifb: {
    readonly name: string;
    readonly mtu?: number | undefined;
    /** In packets. */
    readonly txQueueLength?: number | undefined;
  };
}

interface NewEnd {
  readonly name: string;
  readonly mac?: string | undefined;
}

/** Creates a link; an existing name is `EEXIST`, an unknown kind `EOPNOTSUPP`. */
export function createLink<K extends keyof NewLinks>(kind: K, link: NewLinks[K]): Request {
  const writer = linkHeader(0);
  writers[kind](writer, link);
  return requestWithAck(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, writer.finish());
}

const writers: { readonly [K in keyof NewLinks]: (writer: AttributeWriter, link: NewLinks[K]) => void } = {
  veth(writer, { end, peer, peerNetnsFd, mtu, queues }) {
    writeEnd(writer, end, mtu, queues);
    writeKind(writer, "veth", () => {
      writer.nest(VETH_INFO_PEER, () => {
        linkHeader(0, undefined, writer);
        writeEnd(writer, peer, mtu, queues);
        writer.u32(IFLA_NET_NS_FD, peerNetnsFd);
      });
    });
  },
  ifb(writer, { name, mtu, txQueueLength }) {
    writeEnd(writer, { name }, mtu, undefined);
    if (txQueueLength !== undefined) writer.u32(IFLA_TXQLEN, txQueueLength);
    writeKind(writer, "ifb");
  },
};

function writeKind(writer: AttributeWriter, kind: keyof NewLinks, data?: () => void): void {
  writer.nest(IFLA_LINKINFO, () => {
    writer.string(IFLA_INFO_KIND, kind);
    if (data !== undefined) writer.nest(IFLA_INFO_DATA, data);
  });
}

function writeEnd(
  writer: AttributeWriter,
  { name, mac }: NewEnd,
  mtu: number | undefined,
  queues: number | undefined,
): void {
  writer.string(IFLA_IFNAME, name);
  if (mac !== undefined) writer.bytes(IFLA_ADDRESS, macBytes(mac));
  if (mtu) writer.u32(IFLA_MTU, mtu);
  if (queues) writer.u32(IFLA_NUM_TX_QUEUES, queues).u32(IFLA_NUM_RX_QUEUES, queues);
}
