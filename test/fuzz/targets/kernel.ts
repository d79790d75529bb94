/**
 * The plugins on a kernel whose answers are truncated, lost, late, duplicated, out of order or wrong: each call ends with one answer; and if no
 * answer was made up, a DEL on an honest kernel removes everything that was left.
 */
import type { NetlinkSocket, Sys } from "../../../src/host/sys.ts";
import { littleEndian, viewOf } from "../../../src/netlink/codec/attribute.ts";
import { NLM_F_DUMP_INTR } from "../../../src/netlink/message.ts";
import { sysError } from "../../lib/fake/errno.ts";
import { FakeNode } from "../../lib/fake/node.ts";
import { Input } from "../input.ts";
import { checkAnswer, Finding, requireSame } from "../judge.ts";

/** Far more than an operation on a model with two pods needs. */
const maxReceives = 5_000;
const binDirectory = "/opt/cni/bin";

const prevResult = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "cali3cc6e1c1d1a" }, { name: "eth0", sandbox: "/var/run/netns/c1" }],
  ips: [{ interface: 1, address: "10.9.0.1/32" }],
};

const requests = [
  { plugin: "calico", command: "ADD", conf: { ipam: { type: "calico-ipam", assign_ipv6: "true" } } },
  { plugin: "calico", command: "CHECK", conf: { ipam: { type: "calico-ipam" }, prevResult } },
  { plugin: "calico", command: "GC", conf: { ipam: { type: "calico-ipam" }, "cni.dev/valid-attachments": [] } },
  { plugin: "calico", command: "STATUS", conf: { ipam: { type: "calico-ipam" } } },
  { plugin: "calico", command: "DEL", conf: { ipam: { type: "calico-ipam" } } },
  {
    plugin: "portmap",
    command: "ADD",
    conf: {
      prevResult,
      runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "udp" }] },
    },
  },
  { plugin: "portmap", command: "DEL", conf: { prevResult } },
  {
    plugin: "bandwidth",
    command: "ADD",
    conf: { prevResult, ingressRate: 8e6, ingressBurst: 8e6, egressRate: 8e6, egressBurst: 8e6 },
  },
  { plugin: "bandwidth", command: "DEL", conf: { prevResult } },
] as const;

type Request = (typeof requests)[number];

export function main(bytes: Uint8Array): void {
  const input = new Input(bytes);
  const node = new FakeNode();
  node.sandbox("c1");
  const before = node.state();
  let truthful = true;
  const called = new Set<string>();
  for (let calls = 1 + (input.byte() % 4); calls > 0; calls--) {
    const request = input.pick(requests);
    const answers = new Answers(input);
    answer(node, request, answers);
    called.add(request.plugin);
    truthful &&= answers.truthful;
  }
  for (const request of requests.filter(({ command, plugin }) => command === "DEL" && called.has(plugin)).reverse()) {
    const status = answer(node, request);
    if (truthful && status !== 0) throw new Finding(`DEL of ${request.plugin} fails on an honest kernel`);
  }
  if (truthful) requireSame("the state after DEL", node.state().split("\n"), before.split("\n"));
}

function answer(node: FakeNode, { plugin, command, conf }: Request, answers?: Answers): number {
  const environment = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/var/run/netns/c1",
    CNI_IFNAME: "eth0",
    CNI_PATH: binDirectory,
  };
  const sys = node.process(environment, JSON.stringify({ cniVersion: "1.1.0", name: "net1", type: plugin, ...conf }));
  if (answers !== undefined) {
    const open = sys.openNetlink.bind(sys);
    sys.openNetlink = (...where: Parameters<Sys["openNetlink"]>) => spoilt(open(...where), answers);
  }
  const status = node.exec(plugin, sys);
  checkAnswer(status, sys.stdout);
  return status;
}

function spoilt(socket: NetlinkSocket, answers: Answers): NetlinkSocket {
  const held: Uint8Array[] = [];
  return {
    send: (datagram) => socket.send(datagram),
    receive: (timeoutMs) => answers.spoil(() => held.shift() ?? socket.receive(timeoutMs), held),
    close: () => socket.close(),
  };
}

/** Decides what happens to each answer, by the bytes of the input; after their end nothing is changed. */
class Answers {
  truthful = true;
  readonly #input: Input;
  #receives = 0;

  constructor(input: Input) {
    this.#input = input;
  }

  spoil(receive: () => Uint8Array, held: Uint8Array[]): Uint8Array {
    if (++this.#receives > maxReceives) throw new Finding("does not end");
    const input = this.#input;
    switch (input.isEmpty ? 0 : input.byte() % 16) {
      case 1:
        throw sysError("ENOBUFS", "recvfrom", "netlink");
      case 2:
        throw sysError("ETIMEDOUT", "recvfrom", "netlink");
      case 3:
        throw sysError("EINTR", "recvfrom", "netlink");
      case 4:
        return cut(receive(), input.half());
      case 5:
        return flagged(receive());
      case 6: {
        // Out of order: the next one first.
        const first = receive();
        const second = attempt(receive);
        if (second === undefined) return first;
        held.unshift(first);
        return second;
      }
      case 7: {
        const datagram = receive();
        held.unshift(datagram);
        return datagram;
      }
      case 8:
        receive();
        return receive();
      case 9:
        held.unshift(receive());
        return stray(input.byte());
      case 10:
        this.truthful = false;
        return changed(receive(), input);
      case 11:
        this.truthful = false;
        receive();
        return input.piece();
      default:
        return receive();
    }
  }
}

function attempt(receive: () => Uint8Array): Uint8Array | undefined {
  try {
    return receive();
  } catch {
    return undefined;
  }
}

function cut(datagram: Uint8Array, at: number): Uint8Array {
  return datagram.slice(0, at % (datagram.length + 1));
}

function flagged(datagram: Uint8Array): Uint8Array {
  const copy = datagram.slice();
  if (copy.length >= 16) copy[6] = (copy[6] ?? 0) | NLM_F_DUMP_INTR;
  return copy;
}

function changed(datagram: Uint8Array, input: Input): Uint8Array {
  const copy = datagram.slice();
  for (let count = 1 + (input.byte() % 4); count > 0 && copy.length > 0; count--) {
    copy[input.half() % copy.length] = input.byte();
  }
  return copy;
}

/** An answer to a request that was never sent. */
function stray(sequence: number): Uint8Array {
  const bytes = new Uint8Array(36);
  const view = viewOf(bytes);
  view.setUint32(0, bytes.length, littleEndian);
  view.setUint16(4, 2, littleEndian);
  view.setUint32(8, 0x7fff_ff00 + sequence, littleEndian);
  view.setInt32(16, -sequence, littleEndian);
  return bytes;
}
