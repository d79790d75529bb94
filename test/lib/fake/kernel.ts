/**
 * A strict model of rtnetlink that interprets the same bytes as the real kernel, and prints its state as text.
 *
 * Strict means: it refuses what the kernel refuses, with the kernel's errno and, where tests look at it, its text.
 */
import { littleEndian } from "../../../src/netlink/codec/attribute.ts";
import { AttributeWriter } from "../../../src/netlink/codec/attribute-writer.ts";
import {
  decodeDatagram,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_MULTI,
  NLMSG_DONE,
  NLMSG_ERROR,
  type Reply,
} from "../../../src/netlink/message.ts";
import { Refused } from "./errno.ts";
import { FakeNetns } from "./netns.ts";
import { addressHandlers } from "./rtnetlink-address.ts";
import { linkHandlers } from "./rtnetlink-link.ts";
import { routeHandlers } from "./rtnetlink-route.ts";
import { ruleHandlers } from "./rtnetlink-rule.ts";
import { trafficHandlers } from "./rtnetlink-traffic.ts";

/** One message of an answer. */
export interface Answer {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** Handles a message in a namespace. Throws `Refused`. */
export type Handler = (netns: FakeNetns, request: Reply, kernel: FakeKernel) => readonly Answer[];

const handlers: Readonly<Record<number, Handler>> = {
  ...linkHandlers,
  ...addressHandlers,
  ...routeHandlers,
  ...ruleHandlers,
  ...trafficHandlers,
};

export class FakeKernel {
  readonly host: FakeNetns;
  readonly #namespaces: FakeNetns[] = [];
  readonly #ipv6: boolean;
  /** The namespaces that file descriptors refer to. */
  readonly descriptors = new Map<number, FakeNetns>();
  #macs = 0;
  /** Modules that this kernel lacks. */
  readonly missingModules = new Set<string>();
  /** The number of future dumps that end with NLM_F_DUMP_INTR. */
  interruptedDumps = 0;

  constructor(options: { readonly ipv6?: boolean } = {}) {
    this.#ipv6 = options.ipv6 ?? true;
    this.host = this.addNetns("host");
  }

  addNetns(name: string): FakeNetns {
    const booted = this.#namespaces.length === 0;
    const netns = new FakeNetns(name, 0xf0000000 + this.#namespaces.length, { ipv6: this.#ipv6, booted });
    this.#namespaces.push(netns);
    return netns;
  }

  /** The last process of a namespace ends: its links are deleted, and so are their peers. */
  removeNetns(netns: FakeNetns): void {
    for (const link of [...netns.links.values()]) netns.deleteLink(link);
    this.#namespaces.splice(this.#namespaces.indexOf(netns), 1);
  }

  randomMac(): string {
    this.#macs++;
    return `02:00:00:00:00:${this.#macs.toString(16).padStart(2, "0")}`;
  }

  /** Returns the datagrams that answer one datagram sent in a namespace. */
  handle(netns: FakeNetns, datagram: Uint8Array): Uint8Array[] {
    return decodeDatagram(datagram).flatMap((request) => this.#answer(netns, request));
  }

  print(): string {
    return this.#namespaces.map((netns) => netns.print()).join("\n\n");
  }

  #answer(netns: FakeNetns, request: Reply): Uint8Array[] {
    const { type, flags, sequence } = request;
    const isDump = type % 4 === 2 && (flags & NLM_F_DUMP) === NLM_F_DUMP;
    try {
      const handler = handlers[type];
      if (handler === undefined) throw new Refused("EOPNOTSUPP");
      const answers = handler(netns, request, this);
      if (isDump) return this.#dumped(answers, sequence);
      const datagrams = answers.map((answer) => message(answer, 0, sequence));
      return (flags & NLM_F_ACK) === 0 ? datagrams : [...datagrams, ack(0, undefined, request)];
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      return [ack(error.errno, error.text, request)];
    }
  }

  #dumped(answers: readonly Answer[], sequence: number): Uint8Array[] {
    const interrupted = this.interruptedDumps > 0 ? 0x10 : 0;
    if (this.interruptedDumps > 0) this.interruptedDumps--;
    const done = { type: NLMSG_DONE, payload: new AttributeWriter().word(0).finish() };
    return [...answers, done].map((answer) => message(answer, NLM_F_MULTI | interrupted, sequence));
  }
}

function ack(errno: number, text: string | undefined, request: Reply): Uint8Array {
  const writer = new AttributeWriter().word(-errno);
  writer
    .word(16 + request.payload.length)
    .halves(request.type, request.flags)
    .word(request.sequence)
    .word(0);
  if (text !== undefined) writer.string(1, text);
  return message(
    { type: NLMSG_ERROR, payload: writer.finish() },
    0x100 | (text === undefined ? 0 : 0x200),
    request.sequence,
  );
}

function message({ type, payload }: Answer, flags: number, sequence: number): Uint8Array {
  const bytes = new Uint8Array((16 + payload.length + 3) & ~3);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 16 + payload.length, littleEndian);
  view.setUint16(4, type, littleEndian);
  view.setUint16(6, flags, littleEndian);
  view.setUint32(8, sequence, littleEndian);
  bytes.set(payload, 16);
  return bytes;
}
