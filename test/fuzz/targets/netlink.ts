/** Passes a datagram to each decoder of `src/netlink`: a value or a `MalformedError`. The first byte selects the decoder. */
import { readAddress } from "../../../src/netlink/address.ts";
import { listAttributes, MalformedError, readAttributes } from "../../../src/netlink/codec/attribute.ts";
import { deleteFlow, matchesFlow, readFlow } from "../../../src/netlink/conntrack.ts";
import { readFilter } from "../../../src/netlink/filter.ts";
import { readLink } from "../../../src/netlink/link.ts";
import { decodeAck, decodeDatagram, type Reply } from "../../../src/netlink/message.ts";
import { readNeighbour } from "../../../src/netlink/neighbour.ts";
import {
  readChain,
  readChainUse,
  readElements,
  readGeneration,
  readRule,
  readSet,
  readTableUse,
} from "../../../src/netlink/nftables/read.ts";
import { readQdisc } from "../../../src/netlink/qdisc.ts";
import { readRoute } from "../../../src/netlink/route.ts";
import { Input } from "../input.ts";
import { tolerate } from "../judge.ts";

/** Never change the order: the corpus identifies decoders by number. */
export const decoders: readonly ((reply: Reply) => unknown)[] = [
  decodeAck,
  readAddress,
  readFilter,
  // Its properties are decoded on access.
  (reply) => {
    const link = readLink(reply);
    return [
      link.index,
      link.name,
      link.up,
      link.mac,
      link.mtu,
      link.alias,
      link.kind,
      link.peerIndex,
      link.peerNetnsId,
    ];
  },
  readNeighbour,
  readChain,
  readChainUse,
  readElements,
  readGeneration,
  readRule,
  readSet,
  readTableUse,
  readQdisc,
  readRoute,
  (reply) => {
    const flow = readFlow(reply);
    if (flow !== undefined && matchesFlow({ protocol: "udp", port: 53 }, flow)) deleteFlow("ip", flow);
    return flow;
  },
  ({ payload }) => [readAttributes(payload).get(1), listAttributes(payload)],
];

export function main(bytes: Uint8Array): void {
  const input = new Input(bytes);
  const decode = input.pick(decoders);
  tolerate([MalformedError], () => {
    for (const reply of decodeDatagram(input.rest())) JSON.stringify(decode(reply));
  });
}
