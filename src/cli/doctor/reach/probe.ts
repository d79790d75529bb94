/**
 * Probe packets: they show whether the firewall passes them, which no look-up can.
 *
 *     pod ── UDP, ports 53 and 443, TTL 2 ──► node ──► first router, which drops it     did connection tracking see it leave?
 *     pod ── TCP, port 53 ──► the gateway                                              did an answer arrive?
 *     node ── the same ──►                                                             the control: without it, silence proves nothing
 *
 * **A probe goes no further than the first router**, where its TTL ends. A process of its own sends it from the pod's namespace; it changes
 * nothing, and leaves a conntrack entry for half a minute.
 *
 * **A connection is confirmed when its first packet has passed every hook** (nf_conntrack_confirm, at the end of postrouting): one that a
 * rule dropped is not in the table.
 */
import { canonicalAddress, type Family } from "../../../net/address.ts";
import type { Cli } from "../../cli.ts";
import { messageOf } from "../../error.ts";
import { mapAtOnce } from "../../node/at-once.ts";
import type { ProbeFacts, ProbeResult, ReachPod, RouteLookup } from "./facts.ts";

/** a.root-servers.net: far away on every network, and firewalls that pass anything pass DNS. */
export const probeTargets: Readonly<Record<Family, string>> = { 4: "198.41.0.4", 6: "2001:503:ba3e::2:30" };

/** Each costs a process: look-ups and CHECK find the problems of a single pod. */
const maxPods = 2;
/** The table is read as a whole, so not if it is longer. */
const maxConnections = 50_000;
/** How long to wait for the gateway's answer to the node, and, once that has arrived, for the answer to a pod. */
const patience = { nodeMs: 300, podMs: 1000 };

const trackingTable = "/proc/net/nf_conntrack";

interface Task {
  readonly family: Family;
  /** The source address; absent: the node's own. */
  readonly source?: string;
  readonly target: string;
  readonly ttl: number;
  readonly gateway?: string;
  readonly answerMs: number;
}

interface Sent {
  readonly family: Family;
  /** The source ports of the probes. */
  readonly ports: readonly number[];
  readonly answer: "came" | "missing" | "refused" | "unknown";
}

/** `outs`: each pod's way out, in the order of the pods. `tracks`: whether connection tracking sees all packets. */
export async function sendProbes(
  cli: Cli,
  pods: readonly ReachPod[],
  outs: readonly RouteLookup[],
  tracks: boolean,
): Promise<ProbeFacts> {
  const asked = pods.flatMap((pod, index) => {
    const out = outs[index];
    if (pod.netns === undefined || pod.ifname !== "eth0" || out?.kind !== "route") return [];
    return [{ pod, netns: pod.netns, gateway: gatewayOf(out) }];
  });
  const some = ([4, 6] as const).flatMap((family) =>
    asked.filter(({ pod }) => pod.family === family).slice(0, maxPods),
  );
  if (some.length === 0) return { unsent: "no pod has a route to the outside", results: [], reversePathDrops: 0 };
  try {
    const before = reversePathDrops(cli);
    const results = await probeAll(cli, some, tracks);
    return { unsent: undefined, results, reversePathDrops: reversePathDrops(cli) - before };
  } catch (error) {
    return { unsent: messageOf(error), isFaulty: true, results: [], reversePathDrops: 0 };
  }
}

/** The kernel's counter; 0 if it has none. */
function reversePathDrops({ sys }: Cli): number {
  try {
    return counterIn(sys.readFile("/proc/net/netstat"), "TcpExt", "IPReversePathFilter");
  } catch {
    return 0;
  }
}

/** The text has two lines for each group: names and values. */
export function counterIn(text: string, group: string, name: string): number {
  const [names = [], values = []] = text
    .split("\n")
    .filter((line) => line.startsWith(`${group}: `))
    .map((line) => line.split(" "));
  return Number(values[names.indexOf(name)] ?? 0);
}

/** `undefined` for a link-local gateway, which cannot be reached through a router. */
function gatewayOf({ gateway }: Extract<RouteLookup, { kind: "route" }>): string | undefined {
  return gateway?.startsWith("fe80:") ? undefined : gateway;
}

interface Asked {
  readonly pod: ReachPod;
  readonly netns: string;
  readonly gateway: string | undefined;
}

async function probeAll(cli: Cli, asked: readonly Asked[], tracks: boolean): Promise<readonly ProbeResult[]> {
  const controls = ([4, 6] as const).flatMap((family) => asked.find(({ pod }) => pod.family === family) ?? []);
  const own = await send(
    cli,
    undefined,
    controls.map(({ pod, gateway }) => taskOf(pod.family, gateway, { ttl: 1, answerMs: patience.nodeMs })),
  );
  const ofNode = (family: Family) => own.find((one) => one.family === family);
  const namespaces = [...new Set(asked.map(({ netns }) => netns))];
  const sent = await mapAtOnce(namespaces, async (netns) => {
    const tasks = asked
      .filter((one) => one.netns === netns)
      .map(({ pod, gateway }) => {
        // A gateway that does not answer the node is not awaited.
        const answers = ofNode(pod.family)?.answer !== "missing";
        const more = { ttl: 2, answerMs: patience.podMs };
        return { ...taskOf(pod.family, answers ? gateway : undefined, more), source: pod.address };
      });
    // A pod that is deleted meanwhile has no result.
    return await send(cli, netns, tasks).catch(() => []);
  });
  const tracked = tracks ? readTracked(cli) : undefined;
  return asked.map(({ pod, netns }) => {
    const control = ofNode(pod.family);
    const seesNode = tracked?.some(({ port, source }) => control?.ports.includes(port) && source !== pod.address);
    const answer = sent[namespaces.indexOf(netns)]?.find(({ family }) => family === pod.family);
    return resultOf(pod, answer, control, seesNode ? tracked : undefined);
  });
}

function taskOf(family: Family, gateway: string | undefined, more: Pick<Task, "ttl" | "answerMs">): Task {
  return { family, target: probeTargets[family], ...(gateway !== undefined && { gateway }), ...more };
}

/** `tracked` is absent if the table of connection tracking is not available. */
export function resultOf(
  pod: ReachPod,
  sent: Sent | undefined,
  control: Sent | undefined,
  tracked: Tracked | undefined,
): ProbeResult {
  if (sent === undefined) return { pod, left: "unknown", leftAs: undefined, answer: "unknown" };
  const seen = tracked?.find(({ source, port }) => source === pod.address && sent.ports.includes(port));
  const canTell = tracked !== undefined && sent.ports.length > 0;
  return {
    pod,
    left: seen !== undefined ? "yes" : canTell ? "no" : "unknown",
    leftAs: seen?.leftAs,
    answer: isOwed(sent.answer, pod, control) ? sent.answer : "unknown",
  };
}

/** An answer that the node does not get either proves nothing; nor does silence if the gateway has no route to the pod's own address. */
function isOwed(answer: Sent["answer"], { hasNat }: ReachPod, control: Sent | undefined): boolean {
  if (answer === "refused") return control?.answer !== "refused";
  return answer === "came" || (control?.answer === "came" && hasNat);
}

/** The packets to `farAway`: source address and port, and the address that they left with. */
export type Tracked = readonly {
  readonly source: string;
  readonly port: number;
  readonly leftAs: string;
}[];

/** `undefined` if the kernel does not show the table, or it is too long. */
function readTracked({ sys }: Cli): Tracked | undefined {
  try {
    if (Number(sys.readFile("/proc/sys/net/netfilter/nf_conntrack_count")) > maxConnections) return undefined;
    return tracksIn(sys.readFile(trackingTable));
  } catch {
    return undefined;
  }
}

/** `ipv4 2 udp 17 29 src=10.0.0.5 dst=198.41.0.4 sport=44581 dport=53 [UNREPLIED] src=198.41.0.4 dst=192.0.2.1 …` */
export function tracksIn(text: string): Tracked {
  return text.split("\n").flatMap((line) => {
    const [, source = "", target = "", port = "", leftAs = ""] =
      /\budp\b.*? src=(\S+) dst=(\S+) sport=(\d+) .* src=\S+ dst=(\S+) /.exec(line) ?? [];
    const to = canonicalAddress(target);
    if (to !== probeTargets[4] && to !== probeTargets[6]) return [];
    return [
      {
        source: canonicalAddress(source) ?? source,
        port: Number(port),
        leftAs: canonicalAddress(leftAs) ?? leftAs,
      },
    ];
  });
}

async function send(cli: Cli, netns: string | undefined, tasks: readonly Task[]): Promise<readonly Sent[]> {
  const enter = netns === undefined ? [] : ["nsenter", `--net=${netns}`, "--"];
  const argv = [...enter, process.execPath, "-e", sender, JSON.stringify(tasks)];
  const { stdout, stderr } = await cli.execute(argv, { env: {}, stdin: "", timeoutMs: 10_000 });
  try {
    return JSON.parse(stdout) as readonly Sent[];
  } catch {
    throw new Error(`cannot send a packet from ${netns ?? "the node"}: ${stderr.trim().split("\n")[0]}`);
  }
}

/** Runs in the pod's namespace, as the only part of this command. */
const sender = `
const { createSocket } = require("node:dgram");
const { connect } = require("node:net");
const datagram = ({ family, source, target, ttl }, port) => new Promise((resolve) => {
  const socket = createSocket("udp" + family);
  const end = (result) => { socket.close(); resolve(result); };
  socket.on("error", () => end([]));
  socket.bind(0, source, () => {
    socket.setTTL(ttl);
    const own = socket.address().port;
    socket.send("", port, target, (error) => end(error ? [] : [own]));
  });
});
const ask = ({ source, gateway, answerMs }) => new Promise((resolve) => {
  if (gateway === undefined) return resolve("unknown");
  const socket = connect({ host: gateway, port: 53, localAddress: source });
  const end = (result) => { socket.destroy(); resolve(result); };
  const timer = setTimeout(() => end("missing"), answerMs);
  socket.on("connect", () => { clearTimeout(timer); end("came"); });
  socket.on("error", ({ code }) => {
    clearTimeout(timer);
    end(code === "ECONNREFUSED" ? "came" : code === "EHOSTUNREACH" || code === "EACCES" ? "refused" : "missing");
  });
});
Promise.all(JSON.parse(process.argv[1]).map(async (task) => {
  const [one, other, answer] = await Promise.all([datagram(task, 53), datagram(task, 443), ask(task)]);
  return { family: task.family, ports: [...one, ...other], answer };
})).then((sent) => console.log(JSON.stringify(sent)));
`;
