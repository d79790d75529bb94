/**
 * A netlink socket with faults. To have the kernel refuse one message, it turns that message into one without effect (NLMSG_NOOP) before
 * sending, and the answer to it into the refusal. So the kernel itself decides what happens to the other messages, and its answers keep their
 * order.
 */
import type { NetlinkSocket } from "../../../src/host/sys.ts";
import { littleEndian, viewOf } from "../../../src/netlink/codec/attribute.ts";
import { NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END } from "../../../src/netlink/codec/nft-numbers.ts";
import { errnoOf } from "../../../src/netlink/errno.ts";
import { NLM_F_ACK, NLM_F_DUMP, NLMSG_ERROR, NLMSG_NOOP } from "../../../src/netlink/message.ts";
import type { Faults, Step } from "./fault.ts";

const batchEnds: readonly number[] = [NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END];

export function faultySocket(socket: NetlinkSocket, faults: Faults): NetlinkSocket {
  const refusals = new Map<number, number>();
  const own: Uint8Array[] = [];
  return {
    send(datagram) {
      const places = placesIn(datagram);
      const step: Step = { call: "send", object: "netlink", messages: places.length };
      const fault = faults.next(step);
      if (fault === undefined) return socket.send(datagram);
      const at = "errno" in fault && fault.message !== undefined ? places[fault.message] : undefined;
      if (at === undefined) return faults.befall(fault, step, () => socket.send(datagram));
      const errno = errnoOf("errno" in fault ? fault.errno : "");
      // The message that opens a batch stands for the whole batch, also if the kernel fails at the commit that the closing message requests
      // (nfnetlink_rcv_batch in net/netfilter/nfnetlink.c).
      if (batchEnds.includes(typeAt(datagram, at))) own.push(refusal(sequenceAt(datagram, 0), errno));
      else {
        refusals.set(sequenceAt(datagram, at), errno);
        socket.send(withNoop(datagram, at));
      }
    },
    receive: (timeoutMs) =>
      faults.take(
        { call: "receive", object: "netlink" },
        () => own.shift() ?? refused(socket.receive(timeoutMs), refusals),
      ),
    close: () => faults.release("close", () => socket.close()),
  };
}

/** The offsets of the messages in a datagram. */
function placesIn(datagram: Uint8Array): readonly number[] {
  const places: number[] = [];
  for (let at = 0; at < datagram.length; at += (lengthAt(datagram, at) + 3) & ~3) places.push(at);
  return places;
}

function lengthAt(datagram: Uint8Array, at: number): number {
  return viewOf(datagram).getUint32(at, littleEndian);
}

function sequenceAt(datagram: Uint8Array, at: number): number {
  return viewOf(datagram).getUint32(at + 8, littleEndian);
}

function typeAt(datagram: Uint8Array, at: number): number {
  return viewOf(datagram).getUint16(at + 4, littleEndian);
}

/** The datagram, with the message at `at` replaced by one that has no effect and is acknowledged. */
function withNoop(datagram: Uint8Array, at: number): Uint8Array {
  const copy = datagram.slice();
  const view = viewOf(copy);
  view.setUint16(at + 4, NLMSG_NOOP, littleEndian);
  view.setUint16(at + 6, (view.getUint16(at + 6, littleEndian) & ~NLM_F_DUMP) | NLM_F_ACK, littleEndian);
  return copy;
}

/** The kernel's answer with the refusals inserted. */
function refused(datagram: Uint8Array, refusals: ReadonlyMap<number, number>): Uint8Array {
  if (refusals.size === 0) return datagram;
  const copy = datagram.slice();
  const view = viewOf(copy);
  for (const at of placesIn(copy)) {
    const errno = refusals.get(sequenceAt(copy, at));
    if (errno !== undefined && typeAt(copy, at) === NLMSG_ERROR) view.setInt32(at + 16, -errno, littleEndian);
  }
  return copy;
}

function refusal(sequence: number, errno: number): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = viewOf(bytes);
  view.setUint32(0, bytes.length, littleEndian);
  view.setUint16(4, NLMSG_ERROR, littleEndian);
  view.setUint16(6, 0x100, littleEndian);
  view.setUint32(8, sequence, littleEndian);
  view.setInt32(16, -errno, littleEndian);
  return bytes;
}
