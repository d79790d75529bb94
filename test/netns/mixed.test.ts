/** Chains of mixed origin: our plugins and the Go ones in one conflist, each suite checking and removing the other's objects. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, type JsonObject, parseConflist } from "../lib/conflist.ts";
import { expectRate, queueRates } from "../lib/node/expect-rate.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { answers, ask, ping, serve } from "../lib/node/traffic.ts";
import { mixture } from "../lib/runtimes/mixture.ts";
import { addressOf, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { containerdBurst } from "../lib/runtimes/runtimes.ts";
import { requireBuild } from "../lib/suite.ts";

const bandwidth = { type: "bandwidth", capabilities: { bandwidth: true } };
const portmap = { type: "portmap", snat: true, capabilities: { portMappings: true } };
const byIptables = { ...portmap, backend: "iptables" };
const tuning = { type: "tuning", mtu: 1400, sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" } };
const firewall = { type: "firewall", backend: "iptables" };

const defaultRoute = { routes: [{ dst: "0.0.0.0/0" }] };
const hostLocal = { type: "host-local", subnet: "10.9.0.0/24", dataDir: "/run/cni/networks", ...defaultRoute };
const calicoIpam = { type: "calico-ipam" };
const subnetIpam = { type: "calico-ipam", ipv4_pools: ["subnet"], gateways: ["10.9.0.1"], ...defaultRoute };

const ourKeys = { datastore_type: "file", nodename_file_optional: true };
const calico = (ipam: JsonObject) => ({ type: "calico", ...ourKeys, ipam });
const ptp = (ipam: JsonObject) => ({ type: "ptp", ipMasq: true, ...ourKeys, ipam });
const bridge = (ipam: JsonObject) => {
  return { type: "bridge", isGateway: true, ipMasq: true, hairpinMode: true, ...ourKeys, ipam };
};

interface Chain {
  readonly what: string;
  readonly fromGo?: readonly string[];
  readonly plugins: Conflist["plugins"];
  /** The addresses are not masqueraded, so the outside needs routes to them. */
  readonly isRouted?: boolean;
  readonly prepare?: (node: Node) => void;
}

const chains: readonly Chain[] = [
  {
    what: "calico, Go's host-local, bandwidth and portmap",
    fromGo: ["bandwidth", "portmap"],
    plugins: [calico(hostLocal), bandwidth, portmap],
    isRouted: true,
  },
  {
    what: "calico, Go's tuning, firewall, bandwidth and portmap",
    fromGo: ["bandwidth", "portmap"],
    plugins: [calico(calicoIpam), tuning, firewall, bandwidth, portmap],
  },
  {
    what: "calico, Go's tuning and firewall between ours",
    plugins: [calico(calicoIpam), tuning, bandwidth, firewall, portmap],
  },
  {
    what: "Go's ptp and host-local, our bandwidth and portmap",
    fromGo: ["ptp"],
    plugins: [ptp(hostLocal), bandwidth, portmap],
  },
  { what: "our ptp, Go's host-local, our bandwidth and portmap", plugins: [ptp(hostLocal), bandwidth, portmap] },
  {
    what: "our ptp and calico-ipam, Go's bandwidth and portmap",
    fromGo: ["bandwidth", "portmap"],
    plugins: [ptp(subnetIpam), bandwidth, portmap],
    prepare: makeSubnetPool,
  },
  {
    what: "Go's ptp, our calico-ipam, bandwidth and portmap",
    fromGo: ["ptp"],
    plugins: [ptp(subnetIpam), bandwidth, portmap],
    prepare: makeSubnetPool,
  },
  {
    what: "Go's bridge and host-local, our bandwidth and portmap by iptables",
    plugins: [bridge(hostLocal), bandwidth, byIptables],
  },
  {
    what: "Go's bridge, our calico-ipam, bandwidth and portmap",
    plugins: [bridge(subnetIpam), bandwidth, portmap],
    prepare: makeSubnetPool,
  },
  {
    what: "podman's own list with our portmap",
    plugins: [bridge(hostLocal), portmap, firewall, { type: "tuning" }],
  },
];

/** As a subnet: a pool of one block, without its first and last address. */
function makeSubnetPool(node: Node): void {
  const write = (directory: string, kind: string, spec: JsonObject) => {
    const object = { apiVersion: "projectcalico.org/v3", kind, metadata: { name: "subnet" }, spec };
    const path = `/var/lib/tortie/${directory}`;
    node.sh(`mkdir -p ${path}; cat > ${path}/subnet.json`, { stdin: JSON.stringify(object) });
  };
  write("ippools", "IPPool", { cidr: "10.9.0.0/24", blockSize: 24 });
  write("ipreservations", "IPReservation", { reservedCIDRs: ["10.9.0.0/32", "10.9.0.255/32"] });
}

let node: Node;

beforeAll(requireBuild);

beforeEach(async () => {
  node = await Node.start();
});

afterEach(async () => {
  await node?.stop();
});

function listOf(plugins: Conflist["plugins"], cniVersion = "1.0.0"): Conflist {
  return parseConflist(JSON.stringify({ name: "net1", cniVersion, plugins }));
}

const rate = 20e6;
const limits = { ingressRate: rate, ingressBurst: 1e6, egressRate: rate, egressBurst: 1e6 };
const web = { hostPort: 8080, containerPort: 80, protocol: "tcp" };
const dns = { hostPort: 5353, containerPort: 53, protocol: "udp" };

function newPod(name: string, capabilities: JsonObject = {}): Sandbox & { readonly pod: string } {
  return { pod: name, containerId: `${name}-0a1b2c`, netns: node.addPod(name), ifname: "eth0", capabilities };
}

/**
 * CHECK of the plugins that support it. Of Debian's Go plugins 1.1.1, portmap also looks for IPv4 rules in ip6tables and never passes,
 * and bandwidth without limits crashes.
 */
function check(runner: Runner, list: Conflist, sandbox: Sandbox, fromGo: readonly string[] = []): void {
  const unable = ["portmap", ...(sandbox.capabilities?.bandwidth ? [] : ["bandwidth"])];
  const able = list.plugins.filter(({ type }) => !fromGo.includes(type) || !unable.includes(type));
  runner.check({ ...list, plugins: able }, sandbox);
}

/** What Go plugins and iptables intentionally leave on a node: shared chains, directories, the bridge. */
const goKeeps = [
  /^\+ nft table ip6? (nat|filter|raw)( \/ chain (CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)|[A-Z]+)( \/ .*)?)?$/,
  /^\+ ip6?tables \*(nat|filter|raw) (\*|:[A-Z]+ ACCEPT|(:|-A )CNI-(HOSTPORT-(DNAT|MASQ|SETMARK)|FORWARD|ADMIN)|-A [A-Z]+ .*-j CNI-(HOSTPORT-(DNAT|MASQ)|FORWARD)$)/,
  /^\+ file \/run\/cni\/(networks\/|networks\/net1\/(last_reserved_ip\.0 .*|lock .*)?|tuning\/)?$/,
];

const ours = /\b(tortie|cali[0-9a-f]{11}|bwp[0-9a-f]{12}|CNI-DN-)/;

/** The bridge's links, addresses and routes appear and disappear with the bridge. */
function expectNothingLeft(before: string, alsoKept: readonly RegExp[] = []): void {
  node.sh("ip link show cni0 >/dev/null 2>&1 && ip link del cni0 || true");
  const left = leaks(diff(before, snapshot(node)));
  expect(left.filter((line) => ![...goKeeps, ...alsoKept].some((pattern) => pattern.test(line)))).toEqual([]);
}

describe.each(chains)("$what", ({ fromGo = [], plugins, isRouted = false, prepare }) => {
  let runner: Runner;
  let clean: string;

  beforeEach(() => {
    prepare?.(node);
    runner = new Runner({ node, pluginDirs: [mixture(node, "chain", fromGo)] });
    clean = snapshot(node);
  });

  // Go's firewall supports versions from 0.4.0 on.
  const versions = ["0.3.1", "0.4.0", "1.0.0"].slice(plugins.includes(firewall) ? 1 : 0);
  test.each(versions)("ADD, CHECK and DEL in cniVersion %s leave nothing", (version) => {
    const list = listOf(plugins, version);
    const pod = newPod("pod", { bandwidth: limits, portMappings: [web, dns] });
    const result = runner.add(list, pod);
    expect(result.cniVersion).toBe(version);
    expect(ping(node, undefined, addressOf(result))).toBe(true);
    if (version !== "0.3.1") check(runner, list, pod, fromGo);
    runner.del(list, pod);
    runner.del(list, pod);
    expectNothingLeft(clean);
  });

  test("DEL without namespace and result leaves nothing of ours", () => {
    const list = listOf(plugins);
    const pod = newPod("pod", { bandwidth: limits, portMappings: [web] });
    runner.add(list, pod);
    node.removePod("pod");
    runner.forget();
    runner.del(list, { containerId: pod.containerId, ifname: pod.ifname, netns: "" });
    const left = leaks(diff(clean, snapshot(node))).filter((line) => ours.test(line));
    expect(left.filter((line) => !fromGo.includes("portmap") || !line.includes("CNI-DN-"))).toEqual([]);
  });

  test("carries traffic, and what is asked for one pod is not done to the other", () => {
    const list = listOf(plugins);
    const isLimited = plugins.includes(bandwidth);
    const [a, b] = [newPod("a", { bandwidth: limits, portMappings: [web] }), newPod("b")];
    const [addressA, addressB] = [addressOf(runner.add(list, a)), addressOf(runner.add(list, b))];
    for (const address of isRouted ? [addressA, addressB] : []) {
      node.sh(`ip route add ${address} via ${nodeAddress4}`, { in: "outside" });
    }
    if (plugins.includes(firewall)) node.sh("iptables -P FORWARD DROP");
    serve(node, "outside", 8000);
    for (const pod of [a, b]) expect(ask(node, pod.pod, outsideAddress4, 8000)).toContain("outside sees");
    node.sh("iptables -P FORWARD ACCEPT");
    expect(ping(node, "a", addressB)).toBe(true);
    expect(ping(node, "b", addressA)).toBe(true);
    serve(node, "a", 80);
    expect(ask(node, "outside", nodeAddress4, 8080)).toBe(`a sees ${outsideAddress4}`);
    expect(ask(node, undefined, "127.0.0.1", 8080)).toContain("a sees");
    expect(ask(node, "b", nodeAddress4, 8080)).toContain("a sees");
    if (isLimited) {
      expect(queueRates(node)).toEqual({ toPods: [rate], fromPods: [rate] });
      // Packets from the pod take the longer path: a hook on a foreign link, and an ifb.
      expectRate(node, "a", undefined, nodeAddress4, rate);
    }
    runner.del(list, a);
    expect(answers(node, "outside", nodeAddress4, 8080)).toBe(false);
    check(runner, list, b, fromGo);
    expect(ping(node, undefined, addressB)).toBe(true);
    runner.del(list, b);
    if (isRouted) node.sh(`ip route flush proto boot`, { in: "outside" });
    expectNothingLeft(clean);
  });
});

test("calico CHECK passes with Go's static, which compares the gateway that the result omits", () => {
  const address = { address: "10.9.0.7/24", gateway: "10.9.0.1" };
  const list = listOf([calico({ type: "static", addresses: [address], ...defaultRoute })]);
  const runner = new Runner({ node, pluginDirs: [mixture(node, "static")] });
  const pod = newPod("pod");
  expect(runner.add(list, pod).ips).toEqual([{ address: "10.9.0.7/32", interface: 1 }]);
  runner.check(list, pod);
});

/**
 * Each suite uses the other's state: the names and numbers of Go's bandwidth, and of its portmap with iptables. The main plugin is Go's too, so
 * that only these two are ours.
 */
describe("of what the other added", () => {
  const list = listOf([ptp(hostLocal), bandwidth, byIptables]);
  const everything = [web, dns, { hostPort: 8443, containerPort: 443, protocol: "tcp", hostIP: nodeAddress4 }];
  let go: Runner;
  let own: Runner;
  let clean: string;

  beforeEach(() => {
    // Otherwise Go's portmap 1.1.1 looks for IPv4 rules in both families, and its CHECK fails.
    node.sh("rm /etc/alternatives/ip6tables; ! command -v ip6tables");
    go = new Runner({ node, pluginDirs: [mixture(node, "go", ["bandwidth", "portmap"])] });
    own = new Runner({ node, pluginDirs: [mixture(node, "own")] });
    clean = snapshot(node);
  });

  const directions = ["Go adds, ours checks and deletes", "ours adds, Go checks and deletes"] as const;

  describe.each(directions)("%s", (direction) => {
    const recorded = /^\+ file \/run\/tortie\/parts\/\S+:(bandwidth|portmap)\.json /;
    /** Go's DEL knows neither our guard nor our records. Our next DEL removes the guard, GC and the doctor remove the records. */
    const keptBy = (last: Runner) =>
      last === go ? [/^\+ iptables \*raw .* "127.0.0.0\/8 is for the host alone" -j DROP$/, recorded] : [];
    const adder = () => (direction === directions[0] ? go : own);
    const other = () => (direction === directions[0] ? own : go);

    test.each([
      [20e6, 1e6],
      [7e6, 1e6],
      [33_333_333, 4_444_444],
      [1e9, 4e7],
      [100e6, containerdBurst],
    ])("host ports and limits of %i bit/s with a burst of %i bits", (rateBits, burstBits) => {
      const wanted = { ingressRate: rateBits, ingressBurst: burstBits, egressRate: rateBits, egressBurst: burstBits };
      const pod = newPod("pod", { bandwidth: wanted, portMappings: everything });
      const result = adder().add(list, pod);
      adder().check(list, pod);
      other().check(list, pod);
      serve(node, "pod", 80);
      expect(ask(node, "outside", nodeAddress4, 8080)).toBe(`pod sees ${outsideAddress4}`);
      expect(result.interfaces?.map(({ name }) => name.slice(0, 3))).toEqual(["vet", "eth", "bwp"]);
      other().del(list, pod);
      expectNothingLeft(clean, keptBy(other()));
    });

    test("the other's CHECK sees what is missing", () => {
      const pod = newPod("pod", { bandwidth: limits, portMappings: everything });
      const link = adder().add(list, pod).interfaces?.[0]?.name;
      node.sh(`tc qdisc replace dev ${link} root handle 1: tbf rate 1mbit burst 15000 limit 30000`);
      expect(() => other().check(list, pod)).toThrow(/bandwidth/);
      node.sh("iptables -t nat -F $(iptables-save -t nat | grep -o -m 1 'CNI-DN-[0-9a-f]*')");
      const justPorts = { ...list, plugins: list.plugins.filter(({ type }) => type !== "bandwidth") };
      expect(() => other().check(justPorts, pod)).toThrow(/portmap/);
    });

    test("DEL of one of two pods leaves the other's alone", () => {
      const [a, b] = [
        newPod("a", { portMappings: [web] }),
        newPod("b", { portMappings: [{ ...web, hostPort: 8081 }] }),
      ];
      adder().add(list, a);
      other().add(list, b);
      serve(node, "b", 80);
      other().del(list, a);
      expect(ask(node, "outside", nodeAddress4, 8081)).toBe(`b sees ${outsideAddress4}`);
      adder().del(list, b);
      // Go's DEL removed an object of ours.
      expectNothingLeft(clean, [...keptBy(adder()), recorded]);
    });
  });

  test("ours deletes by whatever back end its configuration names", () => {
    const byDefault = listOf([ptp(hostLocal), bandwidth, portmap]);
    const [a, b] = [newPod("a", { portMappings: everything }), newPod("b", { portMappings: [web] })];
    go.add(byDefault, a);
    own.del(byDefault, a);
    expectNothingLeft(clean);
    own.add(byDefault, b);
    own.del(list, b);
    expectNothingLeft(clean);
  });

  test("ours collects by whatever back end its configuration names", () => {
    const newer = { ...portmap, cniVersion: "1.1.0", name: "net1", "cni.dev/valid-attachments": [] };
    go.add(listOf([ptp(hostLocal), portmap]), newPod("a", { portMappings: everything }));
    own.exec("GC", "portmap", newer, { containerId: "", netns: "", ifname: "" });
    expect(node.sh("iptables-save -t nat")).not.toContain("CNI-DN-");
    own.add(listOf([ptp(hostLocal), portmap]), newPod("b", { portMappings: everything }));
    own.exec("GC", "portmap", { ...newer, backend: "iptables" }, { containerId: "", netns: "", ifname: "" });
    expect(node.sh("nft list tables")).not.toContain("tortie_portmap");
  });
});
