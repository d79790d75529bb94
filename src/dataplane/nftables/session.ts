/**
 * One netlink socket to nf_tables: transactions with the kernel's refusals, single questions, dumps.
 *
 * A transaction is one datagram. The kernel checks every message even after it refused one, answers each refusal, and executes all or none.
 * Only the last message requests an answer in any case, so that the common case is one send and one short receive. An answer to the opening
 * message is about the whole transaction: the generation has changed (ERESTART), nf_tables is missing (EOPNOTSUPP), permission is missing.
 */
import type { CoreError } from "../../errors/core-error.ts";
import { isErrno, type NetlinkSocket, type Sys } from "../../host/sys.ts";
import {
  type Ack,
  decodeAck,
  decodeDatagram,
  encodeDatagram,
  NLM_F_ACK,
  NLMSG_ERROR,
  type Reply,
  type Request,
} from "../../netlink/message.ts";
import { batchBegin, batchEnd, getGeneration } from "../../netlink/nftables/nftables.ts";
import { readGeneration } from "../../netlink/nftables/read.ts";
import { NetlinkConnection } from "../connection.ts";
import { type Attempt, hasErrno, KernelError, MissingFeature, systemCallError, TimeoutError } from "../errors.ts";

const receiveTimeoutMs = 10_000;
const attempt: Attempt = ["talk to", "nf_tables"];
/** Distinct from the numbers that `NetlinkConnection` counts from 1. */
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

/** Whether an unchanged attempt may succeed. */
export function isTransient(errno: number): boolean {
  return errno === EINTR || errno === EAGAIN || errno === ERESTART || errno === ENOBUFS;
}

/** A message that the kernel refused; `index` counts the transaction's requests from 0, -1 stands for the whole transaction. */
export interface Refused extends Ack {
  readonly index: number;
}

/** The kernel has no nf_tables and cannot load it, or lacks netfilter's sockets. */
class NoNftables extends MissingFeature {
  constructor() {
    const reason = "the kernel does not support them";
    super(["use", "nf_tables"], { feature: "nf_tables", module: "nf_tables", reason });
  }
}

export class NftSession {
  readonly #socket: NetlinkSocket;
  readonly #connection: NetlinkConnection;
  #sequence = firstBatchSequence;
  /** After lost answers it waits once more. */
  #isPatient = true;
  #isLeftOpen = false;

  /** Throws `NoNftables`, and `SystemCallError` if there may be nf_tables, but no socket can be opened. */
  constructor(sys: Sys) {
    this.#socket = openSocket(sys);
    this.#connection = new NetlinkConnection(this.#socket);
  }

  /** Executes all requests or, if any is refused, none; with a generation only while that is the current one. */
  commit(requests: readonly Request[], generation?: number): readonly Refused[] {
    const last = requests.length - 1;
    const messages = [batchBegin(generation), ...requests, batchEnd()];
    // Kernels before 6.10 do not answer the closing message.
    const answered = messages[requests.length] as Request;
    messages[requests.length] = { ...answered, flags: answered.flags | NLM_F_ACK };
    const begin = this.#sequence;
    this.#sequence += requests.length + 2;
    this.#send(encodeDatagram(messages, begin, requests.length));
    const refused: Refused[] = [];
    for (;;) {
      const replies = this.#receive();
      // It is unknown whether the kernel committed it; the caller handles this like a refusal and looks.
      if (replies === undefined) return [{ index: -1, errno: ENOBUFS, text: undefined }];
      for (const reply of replies) {
        const index = reply.sequence - begin - 1;
        if (reply.type !== NLMSG_ERROR || index < -1 || index > last) continue;
        const ack = decodeAck(reply);
        if (index === -1 && hasErrno(ack, "EOPNOTSUPP")) throw new NoNftables();
        if (ack.errno !== 0) refused.push({ index, ...ack });
        if (index === last || (index === -1 && ack.errno !== 0)) return refused;
      }
    }
  }

  /**
   * The answer to a single question; `undefined` if the object does not exist. Throws `NoNftables`, and `KernelError` if the kernel refuses
   * otherwise.
   */
  ask(request: Request, what: Attempt): Reply | undefined {
    return this.askAll([request], what)[0];
  }

  /** The same for several questions in one send. */
  askAll(requests: readonly Request[], what: Attempt): readonly (Reply | undefined)[] {
    if (requests.length === 0) return [];
    return this.#connection.exchange(requests).map((outcome) => {
      if (outcome.errno !== 0 && outcome.errno !== ENOENT) throw this.#refusalOf(what, outcome);
      return outcome.replies[0];
    });
  }

  /** All answers to a dump; `undefined` if the table or set is missing. Throws as `ask` does. */
  dump(request: Request, what: Attempt): readonly Reply[] | undefined {
    try {
      return this.#connection.dump(request, what);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      if (error.is("ENOENT")) return undefined;
      throw error.is("EINVAL") && this.#isDeaf() ? new NoNftables() : error;
    }
  }

  /** The number of the rule set's current generation, for `commit`. */
  generation(): number {
    const reply = this.ask(getGeneration(), ["read", "the generation of nf_tables"]);
    return reply === undefined ? 0 : readGeneration(reply);
  }

  /**
   * Leaves the socket open until the process ends. Closing a socket after a table was deleted waits until the kernel has destroyed the table, some
   * 10 ms (nft_rcv_nl_event, net/netfilter/nf_tables_api.c): the removal of a link, which comes next, waits for the same grace period.
   */
  leaveOpen(): void {
    this.#isLeftOpen = true;
  }

  close(): void {
    if (!this.#isLeftOpen) this.#socket.close();
  }

  #refusalOf(what: Attempt, outcome: Ack): CoreError {
    return isDeafness(outcome) && this.#isDeaf() ? new NoNftables() : new KernelError(what, outcome);
  }

  /** Whether the kernel refuses even a request without attributes, which means that it has no nf_tables. */
  #isDeaf(): boolean {
    return isDeafness(this.#connection.request(getGeneration()));
  }

  #send(datagram: Uint8Array): void {
    try {
      this.#socket.send(datagram);
    } catch (error) {
      throw systemCallError(attempt, error);
    }
  }

  /** `undefined` if answers are lost: the kernel dropped some, or, once, none arrived. */
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
          throw new TimeoutError(attempt, receiveTimeoutMs, "answer");
        }
        throw systemCallError(attempt, error);
      }
    }
  }
}

/**
 * Runs `body` with a session and closes it. Returns `nothing` if the kernel has no nf_tables, because then there are no objects. For removals
 * and reads; code that adds objects uses `NftSession`.
 */
export function queryNft<T>(sys: Sys, nothing: T, body: (session: NftSession) => T): T {
  try {
    const session = new NftSession(sys);
    try {
      return body(session);
    } finally {
      session.close();
    }
  } catch (error) {
    if (error instanceof NoNftables) return nothing;
    throw error;
  }
}

/** The answer of netfilter's sockets to a request for nf_tables if it is missing (nfnetlink_rcv_msg in net/netfilter/nfnetlink.c). */
function isDeafness(outcome: Ack): boolean {
  return hasErrno(outcome, "EINVAL", "EOPNOTSUPP");
}

function openSocket(sys: Sys): NetlinkSocket {
  try {
    return sys.openNetlink("netfilter");
  } catch (error) {
    throw isErrno(error, "EPROTONOSUPPORT", "EAFNOSUPPORT") ? new NoNftables() : systemCallError(attempt, error);
  }
}
