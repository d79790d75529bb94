/**
 * `npm run demo`: a node, two pods and a client outside, joined by the chain of `conf-examples/10-calico.conflist`, step by step.
 *
 * Everything happens in namespaces of the demo's own, which hang on its process: an interrupt ends them, and so does kill -9.
 * The machine's own network is not touched.
 * Every step prints what really came back, and a step that does not come out ends the demo with status 1.
 */
import { loadConflist } from "../test/lib/conflist.ts";
import { kept, leaks } from "../test/lib/kept.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../test/lib/netns.ts";
import { addressOf, PluginError, Runner, type Sandbox } from "../test/lib/runner.ts";
import { diff, snapshot } from "../test/lib/snapshot.ts";
import { example, ourPluginDir, pluginDirs, requireBuild, suite } from "../test/lib/suite.ts";
import { ask, measureRate, serve } from "../test/lib/traffic.ts";

const conflist = example("10-calico.conflist");
const hostPort = 8080;
const rateBits = 20_000_000;
const lowest = 0.8 * rateBits;
const highest = 1.05 * rateBits;
const colours = process.stdout.isTTY && !process.env.NO_COLOR;
let steps = 0;

process.exit(await main());

async function main(): Promise<number> {
  const started = performance.now();
  let node: Node | undefined;
  try {
    requireRoot();
    requireBuild();
    node = await Node.start("node-a");
    show(node);
    say(
      `\n${bold("done")} in ${((performance.now() - started) / 1000).toFixed(0)} s: everything came out as it should.`,
    );
    return 0;
  } catch (error) {
    say(
      `\n${red("failed:")} ${error instanceof PluginError ? `${error.message} (code ${error.code})` : (error as Error).message}`,
    );
    return 1;
  } finally {
    await node?.stop();
  }
}

function show(node: Node): void {
  const list = loadConflist(conflist);
  const runner = new Runner({ node, pluginDirs });
  const web: Sandbox = {
    ...sandbox(node, "web"),
    capabilities: {
      portMappings: [{ hostPort, containerPort: 80, protocol: "tcp" }],
      bandwidth: { ingressRate: rateBits, ingressBurst: 1_000_000, egressRate: rateBits, egressBurst: 1_000_000 },
    },
  };
  const shell = sandbox(node, "shell");
  const before = snapshot(node);

  introduce(node);
  const webAddress = add(runner, list, web, `host port ${hostPort} to port 80, ${mbit(rateBits)} each way`);
  const shellAddress = add(runner, list, shell, "nothing asked for");
  datapath(node, webAddress);
  reach(node, webAddress, shellAddress);
  hostPorts(node);
  shaping(node, webAddress);
  checks(node, runner, list, web, webAddress);
  remove(node, runner, list, [web, shell], before);
}

type List = ReturnType<typeof loadConflist>;

function introduce(node: Node): void {
  step("the plugins, one static executable under four names, and the conflist");
  command(node, `ls -li ${suite.map((name) => `${ourPluginDir}/${name}`).join(" ")}`);
  command(node, `${ourPluginDir}/calico --version`);
  command(node, `grep type ${conflist}`);
  step("a node, and a client outside that knows no route to any pod");
  command(node, "ip -brief address");
  command(node, "ip -brief address", "outside");
  command(node, "ip route", "outside");
}

function add(runner: Runner, list: List, pod: Sandbox, wishes: string): string {
  step(`ADD ${pod.containerId}: ${list.plugins.map(({ type }) => type).join(" -> ")} (${wishes})`);
  const result = runner.add(list, pod);
  output(JSON.stringify(result, undefined, 2));
  return addressOf(result);
}

function datapath(node: Node, webAddress: string): void {
  step("what that made: the host's end, the pod's end, the limits, the host port, the way out");
  const link = JSON.parse(node.sh(`ip -json route get ${webAddress}`))[0].dev as string;
  command(node, `ip link show dev ${link}`);
  command(node, `ip route show dev ${link}`);
  command(node, "ip -brief address", "web");
  command(node, "ip route", "web");
  command(node, "ip neighbour", "web");
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
  step(`host port ${hostPort}: from outside, from the node, and by hairpin`);
  serve(node, "web", 80);
  asked(node, "outside", nodeAddress4, hostPort, `web sees ${outsideAddress4}`);
  asked(node, undefined, nodeAddress4, hostPort, "web sees");
  asked(node, undefined, "127.0.0.1", hostPort, "web sees");
  asked(node, "web", nodeAddress4, hostPort, "web sees");
  asked(node, "shell", nodeAddress4, hostPort, "web sees");
}

function shaping(node: Node, webAddress: string): void {
  step(`rate: ${mbit(rateBits)} configured, on the wire; the receiver counts up to 4.5 % less, without all headers`);
  for (const [what, from, to, address] of [
    ["towards the pod", undefined, "web", webAddress],
    ["from the pod", "web", undefined, nodeAddress4],
  ] as const) {
    const { bitsPerSecond } = measureRate(node, from, to, address, { least: lowest });
    const close = bitsPerSecond > lowest && bitsPerSecond < highest;
    verdict(close, `${what}: ${mbit(bitsPerSecond)} measured (${((100 * bitsPerSecond) / rateBits).toFixed(0)} %)`);
  }
}

function checks(node: Node, runner: Runner, list: List, pod: Sandbox, address: string): void {
  step("CHECK agrees, and finds a route that somebody removed");
  runner.check(list, pod);
  verdict(true, "CHECK: nothing found");
  const route = node.sh(`ip route show ${address}`).trim();
  command(node, `ip route del ${route}`);
  const found = complaint(() => runner.check(list, pod));
  verdict(found.includes(address), `CHECK: ${found}`);
  node.sh(`ip route add ${route}`);
  runner.check(list, pod);
  verdict(true, "the route is put back by hand: CHECK finds nothing");
}

function remove(node: Node, runner: Runner, list: List, pods: readonly Sandbox[], before: string): void {
  step("DEL of both, and the node's state compared with before");
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
  verdict(
    left.length === 0,
    `beside that, ${left.length} differences in links, addresses, routes, rules, qdiscs, firewall and files`,
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

function complaint(action: () => void): string {
  try {
    action();
  } catch (error) {
    if (error instanceof PluginError) return error.message;
    throw error;
  }
  return "nothing found";
}

function pinged(node: Node, from: string | undefined, address: string): void {
  const where = from === undefined ? {} : { in: from };
  const { status, stdout } = node.run(["ping", "-n", "-c", "1", "-W", "2", address], where);
  const line = stdout.split("\n").find((each) => each.includes("bytes from")) ?? "no answer";
  verdict(status === 0, `${from ?? "node"} -> ${address}: ${line}`);
}

function asked(node: Node, from: string | undefined, host: string, port: number, wanted: string): void {
  let answer: string;
  try {
    answer = ask(node, from, host, port);
  } catch (error) {
    answer = (error as Error).message;
  }
  verdict(answer.startsWith(wanted), `${from ?? "node"} -> ${host}:${port}: "${answer}"`);
}

function verdict(good: boolean, text: string): void {
  say(`  ${good ? green("ok") : red("no")}  ${text}`);
  if (!good) throw new Error(`step ${steps} did not come out`);
}

function step(title: string): void {
  say(`\n${bold(`${++steps}. ${title}`)}`);
}

/** Runs a command and shows it with what it wrote. */
function command(node: Node, script: string, where?: string): void {
  const text = node.sh(script, where === undefined ? {} : { in: where }).trimEnd();
  say(`  ${dim("|")} ${dim(`${where ?? node.name} #`)} ${fromHere(script)}`);
  if (text !== "") output(fromHere(text));
}

/** Paths of the project as one types them in its folder. */
function fromHere(text: string): string {
  return text.replaceAll(`${process.cwd()}/`, "");
}

function output(text: string): void {
  for (const line of text.trimEnd().split("\n")) say(`  ${dim("|")} ${line}`);
}

function requireRoot(): void {
  if (process.getuid?.() !== 0) throw new Error("the demo makes network namespaces: run it as root");
}

function mbit(bits: number): string {
  return `${(bits / 1e6).toFixed(1)} Mbit/s`;
}

function say(text: string): void {
  console.log(text);
}

function bold(text: string): string {
  return styled(text, 1, 22);
}

function dim(text: string): string {
  return styled(text, 2, 22);
}

function green(text: string): string {
  return styled(text, 32, 39);
}

function red(text: string): string {
  return styled(text, 31, 39);
}

/** SGR codes (ECMA-48, 8.3.117) that switch a style on and off. */
function styled(text: string, on: number, off: number): string {
  return colours ? `\u001b[${on}m${text}\u001b[${off}m` : text;
}
