/** How packets leave the pools of a cluster, and floating IPs: three nodes over etcd whose settings and endpoints change while pods run. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Etcd, etcdIsMissing } from "../lib/cluster/etcd.ts";
import { EtcdFabric, vxlanSettings } from "../lib/cluster/etcd-fabric.ts";
import type { Fabric } from "../lib/cluster/fabric.ts";
import { addFabricPod, type FabricPod, threePlaces } from "../lib/cluster/fabric-pods.ts";
import { ask, serve, tryAsk } from "../lib/node/traffic.ts";

const resources = "/calico/resources/v3/projectcalico.org";
const outside4 = "203.0.113.2";
const outside6 = "2001:db8:99::2";
const external4 = "198.51.100.5";
const external6 = "2001:db8:5::5";
const port = 8080;
const inTime = { timeout: 15_000 };

describe.skipIf(etcdIsMissing !== undefined)(`NAT of three nodes${etcdIsMissing ? `: ${etcdIsMissing}` : ""}`, () => {
  let cluster: EtcdFabric;
  let etcd: Etcd;
  let fabric: Fabric;
  let pods: FabricPod[];

  beforeAll(async () => {
    cluster = await EtcdFabric.start();
    ({ etcd, fabric } = cluster);
    for (const { name } of threePlaces) {
      await cluster.begin(name, vxlanSettings, "network is in place");
    }
    pods = fabric.nodes.map((on) => addFabricPod(on, `pod-on-${on.name}`));
    pods.push(addFabricPod(fabric.named("node-a"), "other-on-node-a"));
    for (const { on, name } of pods) serve(on.node, name, port, name);
    for (const { node } of fabric.nodes) serve(node, undefined, port);
    serve(fabric.router, "outside", port, "outside");
  });
  afterAll(() => cluster?.stop());

  const configure = (spec: object, name?: string) => cluster.configure(spec, name);
  const setFloating = (pod: FabricPod, externals: readonly string[]) => cluster.setFloating(pod, externals);
  const podOn = (name: string) => pods.find((pod) => pod.on.name === name) as FabricPod;
  const seenFrom = (pod: FabricPod, host: string) => tryAsk(pod.on.node, pod.name, host, port).stdout.trim();

  /** The router sends the floating IPs to a node. */
  function routeTo(name: string): void {
    const { address4, address6 } = fabric.named(name);
    fabric.router.sh(`ip route replace ${external4} via ${address4}; ip -6 route replace ${external6} via ${address6}`);
    fabric.router.sh(`ip -n outside route replace ${external4} via 203.0.113.1`);
  }

  const answering = (external: string) => tryAsk(fabric.router, "outside", external, port).stdout.trim();

  test("by default, a pod reaches another node and the outside by the address of its node", () => {
    const [a, c] = [podOn("node-a"), fabric.named("node-c")];
    expect(seenFrom(a, c.address4)).toContain(`node-c sees ${a.on.address4}`);
    expect(seenFrom(a, outside4)).toContain(`outside sees ${a.on.address4}`);
    expect(seenFrom(a, outside6)).toContain(`outside sees ${a.on.address6}`);
  });

  test("IPPoolsAndHostIPs: nodes see the pod's own address, the outside does not", async () => {
    await configure({ natOutgoingExclusions: "IPPoolsAndHostIPs" });
    const [a, c] = [podOn("node-a"), fabric.named("node-c")];
    await expect.poll(() => seenFrom(a, c.address4), inTime).toContain(`node-c sees ${a.address4}`);
    await expect.poll(() => seenFrom(a, c.address6), inTime).toContain(`node-c sees ${a.address6}`);
    expect(seenFrom(a, outside4)).toContain(`outside sees ${a.on.address4}`);
  });

  test("an ADD makes what the agent keeps, and CHECK finds nothing amiss", async () => {
    const on = fabric.named("node-b");
    const rules = () => on.node.sh("nft list chain ip tortie postrouting; nft list set ip tortie excluded");
    const before = rules();
    const first = podOn("node-b");
    first.remove();
    expect(on.node.sh("nft list tables")).not.toContain("table ip tortie\n");
    const pod = addFabricPod(on, "made-again");
    // Of the plugin alone: the agent has had no time.
    expect(rules()).toBe(before);
    pod.check();
    pods = [...pods.filter((one) => one !== first), pod];
    serve(on.node, pod.name, port, pod.name);
    expect(seenFrom(pod, fabric.named("node-a").address4)).toContain(`node-a sees ${pod.address4}`);
  });

  test("an address of one node, and a range of ports for it, by FelixConfiguration node.NAME", async () => {
    const { node } = fabric.named("node-a");
    node.sh("ip address add 10.1.0.77/32 dev eth0");
    const spec = {
      natOutgoingAddress: "10.1.0.77",
      natPortRange: "40000:40099",
      iptablesNATOutgoingInterfaceFilter: "eth+",
    };
    await configure(spec, "node.node-a");
    const [a, c] = [podOn("node-a"), podOn("node-c")];
    await expect.poll(() => seenFrom(a, outside4), inTime).toContain("outside sees 10.1.0.77");
    expect(node.sh("nft list chain ip tortie postrouting")).toContain("snat to 10.1.0.77:40000-40099");
    expect(seenFrom(c, outside4)).toContain(`outside sees ${c.on.address4}`);
    a.check();
    await etcd.clear(`${resources}/felixconfigurations/node.node-a`);
    await expect.poll(() => seenFrom(a, outside4), inTime).toContain(`outside sees ${a.on.address4}`);
  });

  test("floating IPs lead nowhere until they are enabled", async () => {
    await setFloating(podOn("node-a"), [external4, external6]);
    routeTo("node-a");
    expect(answering(external4)).toBe("");
    await configure({ floatingIPs: "Enabled" });
    await expect.poll(() => answering(external4), inTime).toContain(`pod-on-node-a sees ${outside4}`);
    expect(answering(external6)).toContain(`pod-on-node-a sees ${outside6}`);
    const { node } = fabric.named("node-a");
    expect(ask(node, undefined, external4, port)).toContain("pod-on-node-a sees");
    expect(ask(node, "pod-on-node-a", external4, port)).toContain(`pod-on-node-a sees ${external4}`);
  });

  test("a floating IP moves to another pod of the node, and to another node", async () => {
    const other = pods.find(({ name }) => name === "other-on-node-a") as FabricPod;
    await setFloating(podOn("node-a"), []);
    await setFloating(other, [external4, external6]);
    await expect.poll(() => answering(external4), inTime).toContain("other-on-node-a sees");
    await setFloating(other, []);
    await setFloating(podOn("node-c"), [external4, external6]);
    routeTo("node-c");
    await expect.poll(() => answering(external4), inTime).toContain("pod-on-node-c sees");
    await expect.poll(() => answering(external6), inTime).toContain("pod-on-node-c sees");
    await expect.poll(() => fabric.named("node-a").node.sh("nft list tables"), inTime).not.toContain("tortie_floating");
    expect(fabric.named("node-a").node.sh("ip route show proto 80")).not.toContain(external4);
  });

  test("a pod takes its floating IP with it, and the agent stays ready", async () => {
    const pod = podOn("node-c");
    pod.remove();
    const { node } = fabric.named("node-c");
    await expect.poll(() => node.sh("nft list tables"), inTime).not.toContain("tortie_floating");
    expect(node.sh("ip route show proto 80")).not.toContain(external4);
    const reply = await cluster.agent("node-c").ask({ op: "network", nodename: "node-c" });
    expect(reply).toMatchObject({ result: { troubles: [] } });
    pods = pods.filter((one) => one !== pod);
  });

  test("a pod sends from its own addresses alone, until the cluster lets it choose", async () => {
    const [a, b] = [podOn("node-a"), podOn("node-b")];
    const { node } = a.on;
    node.sh("ip address add 10.9.0.1/32 dev eth0", { in: a.name });
    b.on.node.sh(`ip route add 10.9.0.1 via ${a.on.address4}`);
    const received = () => {
      const ping = "ping -n -c 1 -W 1 -I 10.9.0.1";
      const dump = "timeout 2 tcpdump --immediate-mode -nn -c 1 -i eth0 'icmp[0] == 8 and src 10.9.0.1' 2>/dev/null";
      const dumping = b.on.node.runBeside(["sh", "-c", dump], { in: b.name });
      node.sh(`sleep 0.5; ${ping} ${b.address4} || ${ping} ${b.address4} || true`, { in: a.name });
      return dumping.then(({ stdout }) => stdout.includes("10.9.0.1"));
    };
    await cluster.changeEndpoint(a, { allowSpoofedSourcePrefixes: ["10.9.0.0/16"] });
    expect(await received()).toBe(false);
    await configure({ floatingIPs: "Enabled", workloadSourceSpoofing: "Any" });
    const allowed = () => node.sh("nft list chain ip tortie_source allowed");
    await expect.poll(allowed, inTime).toContain(`iifname "${a.hostInterface}" ip saddr 10.9.0.0/16 accept`);
    expect(await received()).toBe(true);
    await configure({ floatingIPs: "Enabled" });
    await expect.poll(allowed, inTime).not.toContain("accept");
  });

  test("disabled again, they go", async () => {
    await setFloating(podOn("node-a"), [external4]);
    routeTo("node-a");
    await expect.poll(() => answering(external4), inTime).toContain("pod-on-node-a sees");
    await configure({});
    await expect.poll(() => fabric.named("node-a").node.sh("nft list tables"), inTime).not.toContain("tortie_floating");
    expect(answering(external4)).toBe("");
  });
});
