/**
 * One netlink socket and what is said over it: several requests in one send, an outcome for each; dumps that are whole.
 *
 * Answers are matched by sequence number, so that what is left of an earlier, interrupted exchange is passed over.
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
    const outcomes = first instanceof CoreError ? this.#exchangeOnce(requests) : first;
    if (outcomes instanceof CoreError) throw outcomes;
    return outcomes;
  }

  /** The same for one request. */
  request(request: Request): Outcome {
    return this.exchange([request])[0] as Outcome;
  }

  /** Asks for a table until one answer is whole. Throws `KernelError` when the kernel refuses; `what` reads after "cannot". */
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

  /** Or why answers are lost. */
  #exchangeOnce(requests: readonly Request[]): readonly Outcome[] | CoreError {
    const first = this.#sequence;
    this.#sequence += requests.length;
    this.#send(encodeDatagram(requests, first));
    const outcomes: { errno: number; text: string | undefined; replies: Reply[] }[] = [];
    for (const _ of requests) outcomes.push({ errno: 0, text: undefined, replies: [] });
    const last = outcomes.at(-1);
    for (;;) {
      const received = this.#receive();
      if (received instanceof CoreError) return received;
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
  #dumpOnce(request: Request, what: Attempt): readonly Reply[] | CoreError | undefined {
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
      if (received instanceof CoreError) return received;
      for (const reply of received) {
        if (reply.sequence !== sequence) continue;
        if ((reply.flags & NLM_F_DUMP_INTR) !== 0) whole = false;
        if (reply.type !== NLMSG_DONE && reply.type !== NLMSG_ERROR) {
          replies.push(reply);
          continue;
        }
        const ack = readAck(reply);
        // EINTR and EBUSY: the dump, or an earlier one on this socket, has to be begun again.
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

  /** The messages of one datagram, or why answers are lost: the kernel dropped some (ENOBUFS), or none came. */
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
  // Its time was shorter than a wait for the kernel.
  if (error instanceof CoreError) return error;
  if (!isSystemCallError(error)) return undefined;
  if (isErrno(error, "ENOBUFS")) return dropped;
  if (isErrno(error, "ETIMEDOUT", "EAGAIN")) return new TimeoutError(talking, receiveTimeoutMs, "answer");
  return new SystemCallError(talking, error);
}
