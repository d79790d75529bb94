/**
 * One netlink socket and what is said over it: several requests in one send, an outcome for each; dumps that are whole.
 *
 * Answers are matched by sequence number, so that what is left of an earlier, interrupted exchange is passed over.
 */
import { CniError, code } from "../cni/error.ts";
import { isErrno, type NetlinkSocket } from "../host/sys.ts";
import {
  type Ack,
  decodeAck,
  decodeDatagram,
  encodeDatagram,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Reply,
  type Request,
} from "../netlink/message.ts";
import { refusal, refusedCall, refusedWith } from "./refusal.ts";

/** The kernel answers within microseconds; a wait this long is a kernel in trouble. */
const receiveTimeoutMs = 10_000;
/** A table that changes during each of so many dumps is given up. */
const dumpAttempts = 16;

/** What came back for one request. */
export interface Outcome extends Ack {
  readonly replies: readonly Reply[];
}

export class NetlinkConnection {
  readonly #socket: NetlinkSocket;
  #sequence = 1;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /**
   * Sends the requests in one datagram; the last has NLM_F_ACK, and its answer is the end. The outcomes are in the order of the requests;
   * a refusal is an outcome, not an error. Where answers are lost, what was carried out is not known, and all is sent once more: **what the
   * first sending made is then refused as existing**, and what it removed as missing.
   */
  exchange(requests: readonly Request[]): readonly Outcome[] {
    const first = this.#exchangeOnce(requests);
    const outcomes = first instanceof CniError ? this.#exchangeOnce(requests) : first;
    if (outcomes instanceof CniError) throw outcomes;
    return outcomes;
  }

  /** The same for one request. */
  request(request: Request): Outcome {
    return this.exchange([request])[0] as Outcome;
  }

  /** Asks for a table until one answer is whole. Throws `CniError` 100 when the kernel refuses; `what` reads after "cannot". */
  dump(request: Request, what: string): readonly Reply[] {
    let loss: CniError | undefined;
    for (let attempt = 0; attempt < dumpAttempts; attempt++) {
      const replies = this.#dumpOnce(request, what);
      if (replies instanceof CniError) {
        if (loss !== undefined) throw replies;
        loss = replies;
      } else if (replies !== undefined) return replies;
    }
    throw new CniError(code.refused, `cannot ${what}: the table changed during each of ${dumpAttempts} attempts`);
  }

  close(): void {
    this.#socket.close();
  }

  /** Or why answers are lost. */
  #exchangeOnce(requests: readonly Request[]): readonly Outcome[] | CniError {
    const first = this.#sequence;
    this.#sequence += requests.length;
    this.#send(encodeDatagram(requests, first));
    const outcomes: { errno: number; text: string | undefined; replies: Reply[] }[] = [];
    for (const _ of requests) outcomes.push({ errno: 0, text: undefined, replies: [] });
    const last = outcomes.at(-1);
    for (;;) {
      const received = this.#receive();
      if (received instanceof CniError) return received;
      for (const reply of received) {
        const outcome = outcomes[reply.sequence - first];
        if (outcome === undefined) continue;
        if (reply.type !== NLMSG_ERROR) {
          outcome.replies.push(reply);
          continue;
        }
        const ack = readAck(reply);
        outcome.errno = ack.errno;
        outcome.text = ack.text;
        if (outcome === last) return outcomes;
      }
    }
  }

  /** `undefined` when the table changed meanwhile; an error when answers are lost. */
  #dumpOnce(request: Request, what: string): readonly Reply[] | CniError | undefined {
    const sequence = this.#sequence++;
    this.#send(encodeDatagram([request], sequence));
    const replies: Reply[] = [];
    let whole = true;
    for (;;) {
      const received = this.#receive();
      // The end still comes, and has to be read before anything else is asked.
      if (received === dropped) {
        whole = false;
        continue;
      }
      if (received instanceof CniError) return received;
      for (const reply of received) {
        if (reply.sequence !== sequence) continue;
        if ((reply.flags & NLM_F_DUMP_INTR) !== 0) whole = false;
        if (reply.type !== NLMSG_DONE && reply.type !== NLMSG_ERROR) {
          replies.push(reply);
          continue;
        }
        const ack = readAck(reply);
        // EINTR and EBUSY: the dump, or an earlier one on this socket, has to be begun again.
        if (refusedWith(ack, "EINTR", "EBUSY")) return undefined;
        if (ack.errno !== 0) throw refusal(what, ack);
        return whole ? replies : undefined;
      }
    }
  }

  #send(datagram: Uint8Array): void {
    try {
      this.#socket.send(datagram);
    } catch (error) {
      throw refusedCall("talk to the kernel", error);
    }
  }

  /** The messages of one datagram, or why answers are lost: the kernel dropped some (ENOBUFS), or none came. */
  #receive(): readonly Reply[] | CniError {
    for (;;) {
      try {
        return decodeDatagram(this.#socket.receive(receiveTimeoutMs));
      } catch (error) {
        if (isErrno(error, "EINTR")) continue;
        const loss = lossOf(error);
        if (loss === undefined) throw refusedCall("talk to the kernel", error);
        return loss;
      }
    }
  }
}

function readAck(reply: Reply): Ack {
  try {
    return decodeAck(reply);
  } catch (error) {
    throw refusedCall("talk to the kernel", error);
  }
}

const dropped = new CniError(code.refused, "cannot talk to the kernel: it dropped answers (ENOBUFS)");

/** `undefined` for an error that is none of the operating system's. */
function lossOf(error: unknown): CniError | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  if (isErrno(error, "ENOBUFS")) return dropped;
  if (isErrno(error, "ETIMEDOUT", "EAGAIN"))
    return new CniError(code.tryAgainLater, `cannot talk to the kernel: no answer within ${receiveTimeoutMs / 1000} s`);
  return refusedCall("talk to the kernel", error) as CniError;
}
