/**
 * Netlink messages (`struct nlmsghdr`): encodes requests into a datagram, and decodes replies.
 *
 *      0          4      6       8          12        16
 *      +----------+------+-------+----------+---------+---------+
 *      |  length  | type | flags | sequence | port id | payload |   padded to a multiple of 4
 *      +----------+------+-------+----------+---------+---------+
 *
 * One datagram may contain many requests. The kernel processes them in order and continues after one that failed (rtnetlink; an nf_tables
 * batch is a transaction). It answers each failure, and success only if NLM_F_ACK is set (netlink_rcv_skb, net/netlink/af_netlink.c): so an
 * answer to the last request means that all others succeeded, unless an error came first.
 */
import { align, i32Of, MalformedError, readAttributes, stringOf, u32Of } from "./codec/attribute.ts";

/** The kernel only answers it. */
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
/** The table changed during the dump: request it again. */
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** In an answer of type NLMSG_ERROR: the answer omits the payload of the request, and attributes follow. */
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;

const NLMSGERR_ATTR_MSG = 1;
const headerLength = 16;
const ackLength = 4 + headerLength;

export interface Request {
  readonly type: number;
  /** NLM_F_REQUEST is added by `encodeDatagram`. */
  readonly flags: number;
  /** The family's fixed header, and the attributes. */
  readonly payload: Uint8Array;
}

export interface Reply {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
}

/** The kernel's answer to one request. */
export interface Ack {
  /** 0 for success, otherwise a positive errno. */
  readonly errno: number;
  /** The kernel's explanation (extended ack, Linux 4.12), if any. */
  readonly text: string | undefined;
}

/**
 * Encodes requests into one datagram and numbers them from `sequence`. Only the request at `answered` keeps its NLM_F_ACK, because each
 * answer costs a system call.
 */
export function encodeDatagram(
  requests: readonly Request[],
  sequence: number,
  answered = requests.length - 1,
): Uint8Array {
  let total = 0;
  for (const { payload } of requests) total += align(headerLength + payload.length);
  const words = new Int32Array(total / 4);
  const bytes = new Uint8Array(words.buffer);
  let at = 0;
  let index = 0;
  for (const { type, flags, payload } of requests) {
    const length = headerLength + payload.length;
    words[at] = length;
    words[at + 1] = type | (((index === answered ? flags : flags & ~NLM_F_ACK) | NLM_F_REQUEST) << 16);
    words[at + 2] = sequence + index;
    bytes.set(payload, at * 4 + headerLength);
    at += (length + 3) >> 2;
    index++;
  }
  return bytes;
}

/** Splits a datagram into messages. Throws `MalformedError`. */
export function decodeDatagram(bytes: Uint8Array): readonly Reply[] {
  const replies: Reply[] = [];
  const end = bytes.length;
  for (let at = 0; at < end; ) {
    const rest = end - at;
    if (rest < headerLength)
      throw new MalformedError(`cannot read netlink message: ${rest} bytes are too short for a header`);
    const length = i32Of(bytes, at);
    if (length < headerLength || length > rest) {
      throw new MalformedError(`cannot read netlink message: its length is ${length}, ${rest} bytes are left`);
    }
    replies.push({
      type: (bytes[at + 4] as number) | ((bytes[at + 5] as number) << 8),
      flags: (bytes[at + 6] as number) | ((bytes[at + 7] as number) << 8),
      sequence: i32Of(bytes, at + 8),
      payload: bytes.subarray(at + headerLength, at + length),
    });
    at += align(length);
  }
  return replies;
}

/** Reads an NLMSG_ERROR (also the form of success) or the status that ends a dump (NLMSG_DONE). Throws `MalformedError`. */
export function decodeAck(reply: Reply): Ack {
  const { payload, flags, type } = reply;
  if (type === NLMSG_DONE && payload.length < 4) return { errno: 0, text: undefined };
  const errno = 0 - i32Of(payload);
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno, text: undefined };
  const text = readAttributes(payload, type === NLMSG_DONE ? 4 : attributesAt(payload, flags)).get(NLMSGERR_ATTR_MSG);
  return { errno, text: text && stringOf(text) };
}

/** They follow the code and the header of the request, and its payload unless it was omitted. */
function attributesAt(payload: Uint8Array, flags: number): number {
  return (flags & NLM_F_CAPPED) !== 0 ? ackLength : 4 + align(u32Of(payload, 4));
}
