/** The steps of the demo, in order. */
import { readFileSync } from "node:fs";
import { descriptors } from "#plugins/descriptors";
import { loadConflist } from "../../test/lib/conflist.ts";
import { install } from "../../test/lib/node/install.ts";
import { kept, leaks } from "../../test/lib/node/kept.ts";
import { type Node, nodeAddress4, outsideAddress4 } from "../../test/lib/node/netns.ts";
import { diff, snapshot } from "../../test/lib/node/snapshot.ts";
import { measureRate, serve } from "../../test/lib/node/traffic.ts";
import { addressOf, PluginError, Runner, type Sandbox } from "../../test/lib/runtimes/runner.ts";
import { example } from "../../test/lib/suite.ts";
import { asked, command, pinged, refused } from "./look.ts";
import { bold, expected, output, prompt, say, step } from "./screen.ts";

const binDir = "/opt/cni/bin";
const conflist = "/etc/cni/net.d/10-calico.conflist";
const hostPort = 8080;
const rateBits = 20_000_000;
const lowest = 0.8 * rateBits;
const highest = 1.05 * rateBits;

type List = ReturnType<typeof loadConflist>;

/** Throws at the first step that fails. */
export function showAll(node: Node): void {
  const list = loadConflist(example("10-calico.conflist"));
  const runner = new Runner({ node, pluginDirs: [binDir] });
  const web: Sandbox = {
    ...sandbox(node, "web"),
    capabilities: {
      portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }],
      bandwidth: { ingressRate: rateBits, ingressBurst: 1_000_000, egressRate: rateBits, egressBurst: 1_000_000 },
    },
  };
  const shell = sandbox(node, "shell");

  installed(node);
  const before = snapshot(node);
  network(node);
  const webAddress = add(runner, list, web, `host port ${hostPort} to port 80, ${mbit(rateBits)} each way`);
  const shellAddress = add(runner, list, shell, "no requests");
  datapath(node, webAddress);
  reach(node, webAddress, shellAddress);
  hostPorts(node);
  shaping(node, webAddress);
  state(node);
  checks(node, runner, list, web, webAddress);
  repairs(node, runner, list, web, webAddress);
  remove(node, runner, list, [web, shell], before);
}

function installed(node: Node): void {
  const names = descriptors.length;
  step(`the plugins, one static executable under ${names} names, and the conflist`);
  install(node);
  command(node, `ls -li ${binDir} | awk 'NR > 1 { print $1, $6, $NF }'`);
  command(node, `${binDir}/calico --version`);
  prompt(node.name, `cat ${conflist}`);
  output(readFileSync(node.outerPath(conflist), "utf8"));
}

function network(node: Node): void {
  step("a node, and an outside client without a route to any pod");
  command(node, "ip -brief address");
  command(node, "ip -brief address", { in: "outside" });
  command(node, "ip route", { in: "outside" });
}

function add(runner: Runner, list: List, pod: Sandbox, requested: string): string {
  step(`ADD ${pod.containerId}: ${list.plugins.map(({ type }) => type).join(" -> ")} (${requested})`);
  const result = runner.add(list, pod);
  output(JSON.stringify(result, undefined, 2));
  return addressOf(result);
}

function datapath(node: Node, webAddress: string): void {
  step("what ADD created: the host interface, the pod's interface, rate limits, the host port, natOutgoing");
  const link = hostInterfaceOf(node, webAddress);
  command(node, `ip link show dev ${link}`);
  command(node, `ip route show dev ${link}`);
  command(node, "ip -brief address", { in: "web" });
  command(node, "ip route", { in: "web" });
  command(node, "ip neighbour", { in: "web" });
  command(node, `tc qdisc show dev ${link}`);
  command(node, "nft list map ip tortie_portmap ports");
  command(node, "nft list chain ip tortie postrouting");
}

function reach(node: Node, webAddress: string, shellAddress: string): void {
  step("pod to pod");
  pinged(node, "shell", webAddress);
  pinged(node, "web", shellAddress);
  step("pod to node, node to pod");
  pinged(node, "shell", nodeAddress4);
  pinged(node, undefined, webAddress);
  step("pod to the outside, through the node's address (natOutgoing)");
  serve(node, "outside", 8000);
  pinged(node, "shell", outsideAddress4);
  asked(node, "shell", outsideAddress4, 8000, `outside sees ${nodeAddress4}`);
}

function hostPorts(node: Node): void {
  step(`host port ${hostPort}: from outside, from the node, and from the container itself (hairpin)`);
  serve(node, "web", 80);
  asked(node, "outside", nodeAddress4, hostPort, `web sees ${outsideAddress4}`);
  asked(node, undefined, nodeAddress4, hostPort, "web sees");
  asked(node, undefined, "127.0.0.1", hostPort, "web sees");
  asked(node, "web", nodeAddress4, hostPort, "web sees");
  asked(node, "shell", nodeAddress4, hostPort, "web sees");
}

function shaping(node: Node, webAddress: string): void {
  step(`rate limit: ${mbit(rateBits)} configured; the receiver measures up to 4.5 % less, because headers count too`);
  for (const [what, from, to, address] of [
    ["to the pod", undefined, "web", webAddress],
    ["from the pod", "web", undefined, nodeAddress4],
  ] as const) {
    const { bitsPerSecond } = measureRate(node, from, to, address, { least: lowest });
    const close = bitsPerSecond > lowest && bitsPerSecond < highest;
    expected(close, `${what}: ${mbit(bitsPerSecond)} measured (${((100 * bitsPerSecond) / rateBits).toFixed(0)} %)`);
  }
}

function state(node: Node): void {
  step("the operator's command");
  command(node, "tortie get workloadendpoint");
  command(node, "tortie ipam show --show-blocks");
  command(node, "tortie ipam show --map");
}

function checks(node: Node, runner: Runner, list: List, pod: Sandbox, address: string): void {
  step("CHECK succeeds, and then reports a route that was removed");
  runner.check(list, pod);
  expected(true, "CHECK: no differences");
  command(node, `ip route del ${address} dev ${hostInterfaceOf(node, address)}`);
  const found = complaint(() => runner.check(list, pod));
  expected(found.includes(address), `CHECK: ${found}`);
}

/** The route is still missing. */
function repairs(node: Node, runner: Runner, list: List, pod: Sandbox, address: string): void {
  step("the firewall is flushed too, as by a restart of nftables.service: tortie doctor finds and repairs it");
  command(node, "nft flush ruleset");
  refused(node, "outside", nodeAddress4, hostPort);
  command(node, "tortie doctor --grace 0", { statuses: [3] });
  command(node, "tortie doctor --grace 0 --fix");
  asked(node, "outside", nodeAddress4, hostPort, `web sees ${outsideAddress4}`);
  pinged(node, undefined, address);
  runner.check(list, pod);
  expected(true, "CHECK: no differences");
}

function remove(node: Node, runner: Runner, list: List, pods: readonly Sandbox[], before: string): void {
  step("DEL of both pods; the node must be as before");
  for (const pod of pods) runner.del(list, pod);
  const difference = diff(before, snapshot(node));
  for (const { what, why, lines } of kept) {
    const stays = difference.split("\n").filter((line) => lines.test(line));
    if (stays.length === 0) continue;
    say(`  kept on purpose: ${bold(what)} (${why})`);
    output(stays.map(withoutChecksum).join("\n"));
  }
  const left = leaks(difference);
  if (left.length > 0) output(left.join("\n"));
  expected(
    left.length === 0,
    `${left.length} other differences in links, addresses, routes, rules, qdiscs, firewall and files`,
  );
}

function withoutChecksum(line: string): string {
  return line.replace(/^(. file \S+) .*/, "$1");
}

function sandbox(node: Node, name: string): Sandbox {
  const args = [
    ["IgnoreUnknown", "1"],
    ["K8S_POD_NAMESPACE", "demo"],
    ["K8S_POD_NAME", name],
  ] as const;
  return { containerId: name, netns: node.addPod(name), ifname: "eth0", args };
}

function hostInterfaceOf(node: Node, address: string): string {
  return JSON.parse(node.sh(`ip -json route get ${address}`))[0].dev;
}

function complaint(action: () => void): string {
  try {
    action();
  } catch (error) {
    if (error instanceof PluginError) return error.message;
    throw error;
  }
  return "no differences";
}

function mbit(bits: number): string {
  return `${(bits / 1e6).toFixed(1)} Mbit/s`;
}
