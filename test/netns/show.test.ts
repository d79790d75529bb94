/**
 * The oracle of the dataplane: a plan applied by netlink, and the commands that `show` prints for the same plan, run by a shell on
 * another node, produce the same state in the output of `ip`, `tc` and `nft`.
 */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { planShaping } from "../../plugins/bandwidth/shaping.ts";
import { planEndpoint } from "../../plugins/calico/endpoint.ts";
import { poolRulePriorities } from "../../plugins/calico/names.ts";
import { planPoolRules } from "../../plugins/calico/pool-rules.ts";
import { defaultRoutes } from "../../plugins/calico/routes.ts";
import { parseConf as parsePortmap } from "../../plugins/portmap/conf.ts";
import { rulesOf } from "../../plugins/portmap/iptables-rules.ts";
import { planLocalnet } from "../../plugins/portmap/localnet.ts";
import { mappedPorts } from "../../plugins/portmap/mapped.ts";
import { buildExecutable } from "../../scripts/build/executable.ts";
import { planFloating } from "../../src/agent/network/floating.ts";
import { planSourceCheck } from "../../src/agent/network/source-check.ts";
import { networkPoolOf } from "../../src/cluster-network/network-pool.ts";
import { decodePool } from "../../src/ipam/model/pool.ts";
import { natOutgoing } from "../../src/plan/nat-outgoing.ts";
import type { Plan, Resource } from "../../src/plan/resource.ts";
import { show } from "../../src/plan/show.ts";
import { kernelStateOf } from "../lib/node/kernel-state.ts";
import { Node } from "../lib/node/netns.ts";
import { diff } from "../lib/node/snapshot.ts";
import type { PlanAnswer, PlanJob } from "../lib/programs/plan-executor.ts";
import { root } from "../lib/suite.ts";

const targetDirectory = join(root, "build/plan-executor/bin");

beforeAll(async () => {
  const program = `
    import { quickjsSys } from "./src/host/quickjs.ts";
    import { runPlanExecutor } from "./test/lib/programs/plan-executor.ts";
    export const main = () => runPlanExecutor(quickjsSys);
  `;
  await buildExecutable({
    programs: { "plan-executor": program },
    workDirectory: join(root, "build/plan-executor"),
    targetDirectory,
    define: { TORTIE_VERSION: '"0"', TORTIE_COMMIT: '"test"', TORTIE_ENGINE: '"quickjs"', TORTIE_FAULTS: "false" },
  });
});

const endpoint = {
  hostInterface: "cali0123456789a",
  ifname: "eth0",
  mac: "0a:58:0a:00:00:05",
  mtu: 1440,
  queues: 1,
  addresses: ["10.0.0.5/32"],
  routes: defaultRoutes,
  allowIpForwarding: false,
  knowsGateways: true,
};
const limit = { rateBytes: 2_500_000, burstBytes: 125_000 };
const link = { hostInterface: endpoint.hostInterface, mtu: 1440, ifb: "bwp0123456789ab" };

const attachment = { network: "net", containerId: "c1", ifname: "eth0" };
const targets = [
  { family: "ip", address: "10.0.0.5", subnet: "10.0.0.5/32" },
  { family: "ip6", address: "fd00::5", subnet: "fd00::5/128" },
] as const;
const portsBy = (backend: string, conditions: readonly string[]) => {
  const web = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
  const dns = { hostPort: 5353, containerPort: 53, protocol: "udp", hostIP: "203.0.113.1" };
  return parsePortmap({ backend, conditionsV4: conditions, runtimeConfig: { portMappings: [web, dns] } });
};

/** A cluster of which a plan of the agent's is made. */
const around = { settings: { floatingIPs: "Enabled", workloadSourceSpoofing: "Any" } } as const;

function podWith(external: string, internal: string, sources: readonly string[]) {
  const nats = [{ external, internal }];
  return { ...around, endpoints: [{ name: "default/web", hostInterface: endpoint.hostInterface, nats, sources }] };
}

const pools = ["10.0.0.0/16", "fd00:10:244::/64"].flatMap(
  (cidr) =>
    networkPoolOf({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name: "p" }, spec: { cidr } }) ??
    [],
);

const plans: Readonly<Record<string, readonly Resource[]>> = {
  "an IPv4 endpoint": planEndpoint(endpoint),
  "an IPv6 endpoint": planEndpoint({ ...endpoint, addresses: ["fd00::5/128"] }),
  "a dual-stack endpoint with queues, forwarding and the kernel's MTU": planEndpoint({
    ...endpoint,
    mtu: 0,
    queues: 4,
    allowIpForwarding: true,
    addresses: ["10.0.0.5/32", "fd00::5/128"],
  }),
  "an endpoint with routes of its own": planEndpoint({
    ...endpoint,
    addresses: ["10.0.0.5/32", "fd00::5/128"],
    routes: [
      { dst: "10.9.0.0/16", mtu: 1400, advmss: 1360, priority: 7 },
      { dst: "10.8.0.0/16", table: 100 },
      { dst: "fd09::/48", priority: 9 },
    ],
  }),
  "a further interface, whose replies leave by it": planEndpoint({
    ...endpoint,
    ifname: "net1",
    addresses: ["10.0.0.5/32", "fd00::5/128"],
    routes: [{ dst: "10.9.0.0/16", mtu: 1400 }, { dst: "::/0" }],
  }),
  "the routes of blocks": [
    { kind: "blackhole", at: "host", destination: "10.0.0.0/26", protocol: 80 },
    { kind: "blackhole", at: "host", destination: "fd00::/122", protocol: 80 },
  ],
  "the rules of pools": planPoolRules(
    ["10.0.0.0/16", "fd00::/64"].map((cidr) =>
      decodePool({ apiVersion: "crd.projectcalico.org/v1", kind: "IPPool", metadata: { name: "p" }, spec: { cidr } }),
    ),
    ["10.0.0.5/32", "fd00::5/128"],
  ),
  "limits both ways": [...planEndpoint(endpoint), ...planShaping({ ingress: limit, egress: limit }, link)],
  "the limits of containerd's burst": [
    ...planEndpoint(endpoint),
    ...planShaping({ ingress: { rateBytes: 1_250_000, burstBytes: 536_870_911 }, egress: undefined }, link),
  ],
  "the way out of the pools": natOutgoing([
    { cidr: "10.0.0.0/16", nat: true },
    { cidr: "10.1.0.0/16", nat: false },
    { cidr: "fd00:10:244::/64", nat: true },
  ]),
  "the way out of a cluster's pools, by ports": natOutgoing(
    [
      { cidr: "10.0.0.0/16", nat: true },
      { cidr: "fd00:10:244::/64", nat: true },
    ],
    { outgoing: { exclusions: ["203.0.113.7", "2001:db8:99::7"], interface: "up*", ports: "32768-65000" } },
  ),
  "the way out of a cluster's pools, by an address and ports": ["203.0.113.9", "2001:db8:99::9"].flatMap((address) =>
    natOutgoing([{ cidr: address.includes(":") ? "fd00:10:244::/64" : "10.0.0.0/16", nat: true }], {
      outgoing: { address, ports: "32768-65000", interface: "uplink" },
    }),
  ),
  "the way out of a cluster's pools, by an address": ["203.0.113.9", "2001:db8:99::9"].flatMap((address) =>
    natOutgoing([{ cidr: address.includes(":") ? "fd00:10:244::/64" : "10.0.0.0/16", nat: true }], {
      outgoing: { address },
    }),
  ),
  "the tables of floating IPs": [
    ...planFloating(podWith("198.51.100.5", "10.0.0.5", []), 4).resources,
    ...planFloating(podWith("2001:db8:5::5", "fd00::5", []), 6).resources,
  ].filter((one) => one.kind === "nft-table" || one.kind === "nft-elements"),
  "the check of pods' sources": ([4, 6] as const)
    .flatMap((family) =>
      planSourceCheck(
        { ...podWith("198.51.100.5", "10.0.0.5", ["10.9.0.0/17", "0.0.0.0/0", "fd09::/48"]), pools },
        family,
      ),
    )
    .filter((one) => one.kind === "nft-table"),
  "host ports in nftables, with conditions, and route_localnet": [
    ...planEndpoint(endpoint),
    ...mappedPorts(portsBy("nftables", ["ip saddr 203.0.113.0/24"]), targets),
    ...planLocalnet(targets, () => endpoint.hostInterface),
  ],
  "host ports in iptables, with conditions": targets.map((target) =>
    rulesOf(attachment, portsBy("iptables", ["-s", "203.0.113.0/24"]), target),
  ),
  "a neighbour and a route through it": [
    ...planEndpoint(endpoint),
    { kind: "neighbour", at: "host", link: endpoint.hostInterface, address: "10.0.0.77", mac: "02:00:00:00:00:77" },
    {
      kind: "route",
      at: "host",
      link: endpoint.hostInterface,
      destination: "10.7.0.0/16",
      gateway: "10.0.0.5",
      source: "203.0.113.1",
    },
  ],
};

let applied: Node;
let shown: Node;
let count = 0;

beforeAll(async () => {
  [applied, shown] = await Promise.all([Node.start("node"), Node.start("node")]);
});

afterAll(async () => {
  await Promise.all([applied?.stop(), shown?.stop()]);
});

test.each(Object.entries(plans))("apply() and the commands of show() agree on %s", (_, resources) => {
  const pod = `pod${++count}`;
  const plan: Plan = { owner: `tortie:net/${pod}/eth0`, resources };
  try {
    expect(applyOn(applied, plan, applied.addPod(pod))).toEqual([]);
    runOn(shown, plan, shown.addPod(pod));
    expect(diff(kernelStateOf(applied), kernelStateOf(shown))).toBe("");
    expect(diff(kernelStateOf(applied, pod), kernelStateOf(shown, pod))).toBe("");
  } finally {
    for (const node of [applied, shown]) cleanUp(node);
  }
});

/** Returns the differences that the executor's own `diff` finds after `apply`. */
function applyOn(node: Node, plan: Plan, netns: string): readonly string[] {
  const job: PlanJob = { plan, netns };
  const { status, stdout, stderr } = node.run([join(targetDirectory, "plan-executor")], { stdin: JSON.stringify(job) });
  if (status !== 0) throw new Error(`cannot apply: ${stdout}${stderr}`);
  return (JSON.parse(stdout) as PlanAnswer).differences;
}

function runOn(node: Node, plan: Plan, netns: string): void {
  node.sh([`export CNI_NETNS=${netns}`, ...show(plan)].join("\n"));
}

function cleanUp(node: Node): void {
  node.sh("nft flush ruleset; ip route flush proto 80; ip -6 route flush proto 80");
  for (const pref of Object.values(poolRulePriorities)) {
    for (const family of ["-4", "-6"]) node.run(["ip", family, "rule", "del", "pref", `${pref}`]);
  }
  for (const name of [endpoint.hostInterface, link.ifb]) node.run(["ip", "link", "del", name]);
}
