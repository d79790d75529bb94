/**
 * A netlink socket: several requests in one send with an outcome for each, and consistent dumps.
 *
 * Answers are matched by sequence number, so answers to an earlier, interrupted exchange are skipped.
 */
import { CoreError } from "../errors/core-error.ts";
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
import {
  type Attempt,
  hasErrno,
  isSystemCallError,
  KernelError,
  SystemCallError,
  systemCallError,
  TimeoutError,
  UnstableError,
} from "./errors.ts";

/** The kernel normally answers within microseconds. */
const receiveTimeoutMs = 10_000;
/** Gives up on a table that changes during this many dumps. */
const dumpAttempts = 16;

/** The kernel's answer to one request. */
export interface Outcome extends Ack {
  readonly replies: readonly Reply[];
}

/** The outcome of most requests, for which the kernel reports nothing. */
const accepted: Outcome = { errno: 0, text: undefined, replies: [] };

export class NetlinkConnection {
  readonly #socket: NetlinkSocket;
  #sequence = 1;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  /**
   * Sends the requests in one datagram; the last has NLM_F_ACK, and its answer ends the exchange. The outcomes are in the order of the requests;
   * a refusal is an outcome, not an error. If answers are lost, all requests are sent again: **objects that the first send created are then
   * refused with EEXIST**, and objects that it deleted with ENOENT or the like.
   */
  exchange(requests: readonly Request[]): readonly Outcome[] {
    const first = this.#exchangeOnce(requests);
    const outcomes = first instanceof CoreError ? this.#exchangeOnce(requests) : first;
    if (outcomes instanceof CoreError) throw outcomes;
    return outcomes;
  }

  /** The same for one request. */
  request(request: Request): Outcome {
    return this.exchange([request])[0] as Outcome;
  }

  /** Repeats a dump until it is consistent. Throws `KernelError` if the kernel refuses; `what` follows "cannot". */
  dump(request: Request, what: Attempt): readonly Reply[] {
    let loss: CoreError | undefined;
    for (let attempt = 0; attempt < dumpAttempts; attempt++) {
      const replies = this.#dumpOnce(request, what);
      if (replies instanceof CoreError) {
        if (loss !== undefined) throw replies;
        loss = replies;
      } else if (replies !== undefined) return replies;
    }
    throw new UnstableError(what, `the table changed during each of ${dumpAttempts} attempts`);
  }

  close(): void {
    this.#socket.close();
  }

  /** The outcomes, or the error that explains lost answers. */
  #exchangeOnce(requests: readonly Request[]): readonly Outcome[] | CoreError {
    const first = this.#sequence;
    this.#sequence += requests.length;
    this.#send(encodeDatagram(requests, first));
    const outcomes = new Array<Outcome>(requests.length).fill(accepted);
    for (;;) {
      const received = this.#receive();
      if (received instanceof CoreError) return received;
      for (const reply of received) {
        const at = reply.sequence - first;
        const outcome = outcomes[at];
        if (outcome === undefined) continue;
        if (reply.type !== NLMSG_ERROR) outcomes[at] = { ...outcome, replies: [...outcome.replies, reply] };
        else {
          const ack = readAck(reply);
          if (ack.errno !== 0) outcomes[at] = { ...ack, replies: outcome.replies };
          if (at === requests.length - 1) return outcomes;
        }
      }
    }
  }

  /** `undefined` if the table changed during the dump; an error if answers were lost. */
  #dumpOnce(request: Request, what: Attempt): readonly Reply[] | CoreError | undefined {
    const sequence = this.#sequence++;
    this.#send(encodeDatagram([request], sequence));
    const replies: Reply[] = [];
    let whole = true;
    for (;;) {
      const received = this.#receive();
      // NLMSG_DONE still follows and must be read before the next request.
      if (received === dropped) {
        whole = false;
        continue;
      }
      if (received instanceof CoreError) return received;
      for (const reply of received) {
        if (reply.sequence !== sequence) continue;
        if ((reply.flags & NLM_F_DUMP_INTR) !== 0) whole = false;
        if (reply.type !== NLMSG_DONE && reply.type !== NLMSG_ERROR) {
          replies.push(reply);
          continue;
        }
        const ack = readAck(reply);
        // EINTR: the dump is inconsistent. EBUSY: an earlier dump on this socket has not ended. Both require a new dump.
        if (hasErrno(ack, "EINTR", "EBUSY")) return undefined;
        if (ack.errno !== 0) throw new KernelError(what, ack);
        return whole ? replies : undefined;
      }
    }
  }

  #send(datagram: Uint8Array): void {
    try {
      this.#socket.send(datagram);
    } catch (error) {
      throw systemCallError(talking, error);
    }
  }

  /** The messages of one datagram, or the error if answers were lost: ENOBUFS or a timeout. */
  #receive(): readonly Reply[] | CoreError {
    for (;;) {
      try {
        return decodeDatagram(this.#socket.receive(receiveTimeoutMs));
      } catch (error) {
        if (isErrno(error, "EINTR")) continue;
        const loss = lossOf(error);
        if (loss === undefined) throw error;
        return loss;
      }
    }
  }
}

function readAck(reply: Reply): Ack {
  try {
    return decodeAck(reply);
  } catch (error) {
    throw systemCallError(talking, error);
  }
}

const talking: Attempt = ["talk to", "the kernel"];
const dropped = new UnstableError(talking, "it dropped answers (ENOBUFS)");

/** `undefined` for a bug. */
function lossOf(error: unknown): CoreError | undefined {
  // The operation's deadline expired first.
  if (error instanceof CoreError) return error;
  if (!isSystemCallError(error)) return undefined;
  if (isErrno(error, "ENOBUFS")) return dropped;
  if (isErrno(error, "ETIMEDOUT", "EAGAIN")) return new TimeoutError(talking, receiveTimeoutMs, "answer");
  return new SystemCallError(talking, error);
}
