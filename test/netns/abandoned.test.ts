/** Host ports of an attachment of which only the mapping is left: another attachment may have them, unless the address is still on the host. */
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { ask, serve } from "../lib/node/traffic.ts";
import { addressOf, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";

const list = loadConflist(example("10-calico.conflist"));
const portmap = list.plugins.findIndex(({ type }) => type === "portmap");
const backends = ["nftables", "iptables"];
let node: Node;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
});

afterAll(async () => {
  await node?.stop();
});

let old: Sandbox;
let young: Sandbox;

beforeEach(() => {
  [old, young] = [sandbox(), sandbox()];
});

function sandbox(): Sandbox {
  const containerId = `c${pods++}`;
  return {
    containerId,
    netns: node.addPod(containerId),
    ifname: "eth0",
    capabilities: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
  };
}

function chainWith(backend: string) {
  const plugins = list.plugins.map((plugin, index) => (index === portmap ? { ...plugin, backend } : plugin));
  const runner = new Runner({ node, pluginDirs });
  const own = { ...list, plugins };
  return { add: (pod: Sandbox) => runner.add(own, pod), del: (pod: Sandbox) => runner.del(own, pod) };
}

/** The state after a GC that was killed when `calico` was done. */
function abandon({ containerId }: Sandbox, address: string): void {
  forget(containerId);
  node.sh(`ip netns del ${containerId}`);
  node.sh(`for turn in $(seq 500); do ip route show ${address} | grep -q . || exit 0; sleep 0.01; done; exit 1`);
}

function forget(containerId: string): void {
  node.sh(`rm /run/tortie/endpoints/k8s-pod-network:${containerId}:eth0.json`);
}

const ways: readonly (readonly [string, string | undefined])[] = [
  ["no route", undefined],
  ["a route through a gateway", `via ${outsideAddress4}`],
  ["a blackhole", "blackhole"],
  ["an unreachable route", "unreachable"],
  ["a prohibited route", "prohibit"],
];

test.each(backends.flatMap((backend) => ways.map(([name, way]) => [backend, name, way] as const)))(
  "%s: a host port that leads to %s is taken over",
  (backend, _, way) => {
    const chain = chainWith(backend);
    const address = addressOf(chain.add(old));
    abandon(old, address);
    const destination = `${address}/32`;
    const route = way?.startsWith("via") ? `${destination} ${way}` : `${way} ${destination}`;
    if (way !== undefined) node.sh(`ip route add ${route}`);
    chain.add(young);
    serve(node, young.containerId, 80);
    expect(ask(node, "outside", nodeAddress4, 8080)).toContain(`${young.containerId} sees`);
    if (way !== undefined) node.sh(`ip route del ${route}`);
    chain.del(young);
    chain.del(old);
  },
);

test.each(backends)(
  "%s: a host port that leads to an address on the host is not, whoever made its interface",
  (backend) => {
    const chain = chainWith(backend);
    chain.add(old);
    forget(old.containerId);
    expect(() => chain.add(young)).toThrow(`it is taken by container "${old.containerId}"`);
    chain.del(young);
    chain.del(old);
  },
);
