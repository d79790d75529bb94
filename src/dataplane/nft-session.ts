/**
 * One netlink socket to nf_tables: transactions with what the kernel refused of them, single questions, dumps.
 *
 * A transaction is one datagram. The kernel looks at every message even after one was refused, answers each refusal, and carries out all
 * or nothing. Only the last message asks for an answer in any case, so that the common case is one send and one short receive. An
 * answer to the opening message concerns the whole: the generation has moved (ERESTART), nf_tables is missing (EOPNOTSUPP), no right.
 */
import { CniError, code } from "../cni/error.ts";
import { isErrno, type NetlinkSocket, type Sys } from "../host/sys.ts";
import { errnoText } from "../netlink/errno.ts";
import {
  type Ack,
  decodeAck,
  decodeDatagram,
  encodeDatagram,
  NLM_F_ACK,
  NLMSG_ERROR,
  type Reply,
  type Request,
} from "../netlink/message.ts";
import { batchBegin, batchEnd, getGeneration } from "../netlink/nftables.ts";
import { readGeneration } from "../netlink/nftables-read.ts";
import { Conversation } from "./conversation.ts";
import { refusal, refusedCall, refusedWith } from "./refusal.ts";

const receiveTimeoutMs = 10_000;
/** Apart from the numbers that `Conversation` counts up from 1. */
const firstBatchSequence = 0x4000_0000;

export const ENOENT = 2;
export const EBUSY = 16;
export const EEXIST = 17;
const EINTR = 4;
const EAGAIN = 11;
const ERESTART = 85;
const ENOBUFS = 105;

/** Each further attempt means that another process changed nf_tables in between. */
export const maxAttempts = 32;

/** Whether the next attempt may succeed as it is. */
export function isPassing(errno: number): boolean {
  return errno === EINTR || errno === EAGAIN || errno === ERESTART || errno === ENOBUFS;
}

/** One message the kernel refused; `index` counts the transaction's requests from 0, -1 stands for all of it. */
export interface Refused extends Ack {
  readonly index: number;
}

export class NftSession {
  readonly #socket: NetlinkSocket;
  readonly #conversation: Conversation;
  #sequence = firstBatchSequence;
  /** A wait for answers that do not come is begun anew once. */
  #isPatient = true;

  constructor(sys: Sys) {
    this.#socket = sys.openNetlink("netfilter");
    this.#conversation = new Conversation(this.#socket);
  }

  /** Carries out all requests or, when any is refused, none; with a generation only while that is the current one. */
  commit(requests: readonly Request[], generation?: number): readonly Refused[] {
    const last = requests.length - 1;
    const messages = [batchBegin(generation), ...requests, batchEnd()];
    // Kernels before 6.10 give no answer to the closing message.
    const answered = messages[requests.length] as Request;
    messages[requests.length] = { ...answered, flags: answered.flags | NLM_F_ACK };
    const begin = this.#sequence;
    this.#sequence += requests.length + 2;
    this.#send(encodeDatagram(messages, begin, requests.length));
    const refused: Refused[] = [];
    for (;;) {
      const replies = this.#receive();
      // Whether it was carried out is not known. What follows a refusal finds out.
      if (replies === undefined) return [{ index: -1, errno: ENOBUFS, text: undefined }];
      for (const reply of replies) {
        const index = reply.sequence - begin - 1;
        if (reply.type !== NLMSG_ERROR || index < -1 || index > last) continue;
        const ack = decodeAck(reply);
        if (ack.errno !== 0) refused.push({ index, ...ack });
        if (index === last || (index === -1 && ack.errno !== 0)) return refused;
      }
    }
  }

  /** The answer to a single question; `undefined` when there is no such thing. Throws `CniError` 100 when the kernel refuses otherwise. */
  ask(request: Request, what: string): Reply | undefined {
    return this.askAll([request], what)[0];
  }

  /** The same for several questions, which are asked at once. */
  askAll(requests: readonly Request[], what: string): readonly (Reply | undefined)[] {
    if (requests.length === 0) return [];
    return this.#conversation.exchange(requests).map((outcome) => {
      if (outcome.errno !== 0 && outcome.errno !== ENOENT) throw refusal(what, outcome);
      return outcome.replies[0];
    });
  }

  /**
   * Whether there is each of these. A kernel whose netfilter sockets know nothing of nf_tables answers EINVAL (nfnetlink_rcv_msg in
   * net/netfilter/nfnetlink.c). Throws `CniError` 100 when it refuses otherwise.
   */
  hasEach(requests: readonly Request[], what: string): readonly boolean[] {
    return this.#conversation.exchange(requests).map((outcome) => {
      if (refusedWith(outcome, "ENOENT", "EINVAL", "EOPNOTSUPP")) return false;
      if (outcome.errno !== 0) throw refusal(what, outcome);
      return true;
    });
  }

  /** All answers to a dump; `undefined` when the table or set is missing. Throws `CniError` 100 when the kernel refuses otherwise. */
  dump(request: Request, what: string): readonly Reply[] | undefined {
    try {
      return this.#conversation.dump(request, what);
    } catch (error) {
      if (error instanceof CniError && error.message.includes(errnoText(ENOENT))) return undefined;
      throw error;
    }
  }

  /** The number of the rule set's current generation, for `commit`. */
  generation(): number {
    const reply = this.ask(getGeneration(), "read the generation of nf_tables");
    return reply === undefined ? 0 : readGeneration(reply);
  }

  close(): void {
    this.#socket.close();
  }

  #send(datagram: Uint8Array): void {
    try {
      this.#socket.send(datagram);
    } catch (error) {
      throw refusedCall("talk to nf_tables", error);
    }
  }

  /** `undefined` when answers are lost: the kernel dropped some, or, once, none came. */
  #receive(): readonly Reply[] | undefined {
    for (;;) {
      try {
        return decodeDatagram(this.#socket.receive(receiveTimeoutMs));
      } catch (error) {
        if (isErrno(error, "ENOBUFS")) return undefined;
        if (isErrno(error, "EINTR")) continue;
        if (this.#isPatient && error instanceof Error && "code" in error) {
          this.#isPatient = false;
          return undefined;
        }
        if (isErrno(error, "ETIMEDOUT", "EAGAIN")) {
          throw new CniError(
            code.tryAgainLater,
            `cannot talk to nf_tables: no answer within ${receiveTimeoutMs / 1000} s`,
          );
        }
        throw refusedCall("talk to nf_tables", error);
      }
    }
  }
}

/** Throws `CniError` 100 when the kernel has no nf_tables or does not let us use them. */
export function probeNft(sys: Sys): void {
  const session = new NftSession(sys);
  try {
    session.generation();
  } finally {
    session.close();
  }
}
