/**
 * A node of Calico beside nodes of ours, in one cluster, and a node that changes from one to the other and back while its pods run.
 *
 * **Calico's node is played by its recorded state**: the kernel's objects that Felix and Calico's plugin left (`test/fixtures/calico-newest`), without their
 * programs. Everything else is real: the API server with the recorded objects, our agents, `tortie-net` and plugins.
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { etcdIsMissing } from "../lib/cluster/etcd.ts";
import { unreached } from "../lib/cluster/fabric-pods.ts";
import { felixChains } from "../lib/cluster/felix-chains.ts";
import { becomeFelix, restartFelix, type VxlanMode } from "../lib/cluster/felix-state.ts";
import { buildTimeoutMs, kubeApiserverIsMissing } from "../lib/cluster/kubernetes-build.ts";
import { calicoConflist, MixedCluster, type MixedPod } from "../lib/cluster/mixed-cluster.ts";
import { felixNode } from "../lib/cluster/recorded-cluster.ts";
import { doctor } from "../lib/node/doctor.ts";
import type { Node } from "../lib/node/netns.ts";
import { Pinging } from "../lib/node/pinging.ts";
import { traced, wrongHop } from "../lib/node/trace.ts";
import { Runner, requestOf } from "../lib/runtimes/runner.ts";
import { pluginDirs, root } from "../lib/suite.ts";

const whyNot = etcdIsMissing ?? kubeApiserverIsMissing;

describe.skipIf(whyNot !== undefined)(`a cluster of Calico's nodes and ours${whyNot ? `: ${whyNot}` : ""}`, () => {
  let cluster: MixedCluster;
  /** Those of Calico's that have an address of a pool, and those of ours. */
  let pods: readonly MixedPod[];

  beforeAll(async () => {
    cluster = await MixedCluster.start("Always");
    for (const name of ["node-b", "node-c"]) await cluster.begin(name);
    const ofPools = cluster.calicoPods.filter(({ addresses }) => /^(192\.168|10\.77)\./.test(addresses[0] ?? ""));
    pods = [...ofPools, await cluster.addPod("node-b", "ours-b"), await cluster.addPod("node-c", "ours-c")];
  }, buildTimeoutMs);
  afterAll(() => cluster?.stop());

  const everyPodReachesEvery = () => expect.poll(() => unreached(pods), { timeout: 30_000 }).toEqual([]);

  function pod(name: string): MixedPod {
    return pods.find((one) => one.name === name) ?? expect.fail(`there is no pod ${name}`);
  }

  async function setMode(mode: VxlanMode): Promise<void> {
    await cluster.setMode(mode);
    becomeFelix(cluster.fabric, mode);
  }

  test.each(["Always", "CrossSubnet"] as const)(
    "vxlanMode %s: every pod reaches every pod, both ways",
    async (mode) => {
      await setMode(mode);
      await everyPodReachesEvery();
    },
  );

  describe("the node changes to ours", () => {
    let before: readonly string[];

    /** Pings of pods of the node, out and in, in both families and to both subnets. */
    function pingAcross(): readonly Pinging[] {
      const across = [
        ["p2", "pb", 0],
        ["p3", "pc", 1],
        ["pc", "p2", 0],
        ["ours-b", "p3", 0],
        ["ps", "ours-c", 0],
      ] as const;
      return across.map(([from, to, family]) => new Pinging(pod(from).on.node, from, pod(to).addresses[family] ?? ""));
    }

    test("with its agent, without a lost packet: what Felix made is taken over as it is", async () => {
      const { node } = cluster.felix;
      await setMode("Always");
      await everyPodReachesEvery();
      const interfaces = cluster.calicoPods.filter(({ on }) => on.node === node).map((one) => one.hostInterface);
      for (const family of ["", "6"])
        node.sh(`ip${family}tables-restore --noflush`, { stdin: felixChains(interfaces) });
      before = stateOf(node);
      const pings = pingAcross();
      await cluster.begin(felixNode);
      await sleep(settleMs);
      for (const ping of pings) expect(await ping.stop()).toMatchObject({ lost: [] });
      expect(stateOf(node)).toEqual(before);
      expect(cluster.agent(felixNode).lines.filter(({ msg }) => msg === "not applied")).toEqual([]);
      await everyPodReachesEvery();
    });

    test("and what Felix left drops the packets of a new pod, which doctor and trace say, with the remedy", async () => {
      const { node } = cluster.felix;
      // Before there is a pod that it cuts off.
      const { findings: left, remarks } = doctor(node, { conflist });
      expect(remarks).toEqual([]);
      expect(left.map(({ id, subject }) => `${id} ${subject}`)).toEqual(
        ["iptables", "ip6tables"].map((program) => `felix-left ${program} filter FORWARD`),
      );
      const more = await cluster.addPod(felixNode, "ours-rig");
      expect(unreached([more, pod("pb")])).toHaveLength(2);
      const { findings } = doctor(node, { conflist });
      const found = findings.find(({ id }) => id === "forward-dropped") ?? expect.fail(JSON.stringify(findings));
      expect(found.text).toMatch(/drops packets .*Calico's felix created it/);
      const settings = ["env", "DATASTORE_TYPE=kubernetes", `KUBECONFIG=${cluster.kubeconfig}`];
      const machine = { run: (argv: readonly string[]) => node.run([...settings, ...argv]) };
      const trace = () => traced(machine, "default/ours-rig", "default/pb", [`--node=${felixNode}`]);
      expect(wrongHop(trace())).toMatch(
        /: firewall: iptables(-legacy)? filter FORWARD \(Calico's felix\), by .*Unknown interface.*, drops it$/,
      );
      expect(trace().hops[trace().firstWrong ?? 0]?.remedy).toBe(found.remedy);
      expect(found.remedy).toBe(left[0]?.remedy);
      for (const { remedy } of left) node.sh(remedy ?? "false");
      expect(node.sh("iptables-save; ip6tables-save")).not.toContain("cali-");
      expect(wrongHop(trace())).toBe("");
      pods = [...pods, more];
      await everyPodReachesEvery();
      expect(doctor(node, { conflist }).findings).toEqual([]);
    });

    test("DEL of our plugins removes pods that Calico made; CHECK says what it does otherwise", async () => {
      const { node } = cluster.felix;
      const runner = new Runner({ node, pluginDirs });
      for (const name of ["px", "pf"]) {
        const { sandbox } = pod(name);
        const { hostInterface } = cluster.calicoPods.find((one) => one.name === name) ?? expect.fail(name);
        expect([...differencesOf(runner, pod(name))].sort()).toEqual([
          expect.stringMatching(`^link ${hostInterface} has alias "", wanted "tortie:`),
          // Felix has made it one with the metric 1024.
          expect.stringMatching(/^route [\d.]+\/32 dev cali\S+ scope link is missing$/),
        ]);
        runner.del(calicoConflist, sandbox);
        runner.del(calicoConflist, sandbox);
        expect(node.sh("ip -o link")).not.toContain(hostInterface);
        expect(node.sh("ip -o link", { in: name })).not.toContain("eth0");
        pods = pods.filter((one) => one.name !== name);
      }
      const left = JSON.stringify([await cluster.stored("ipamblocks"), await cluster.stored("ipamhandles")], exact);
      expect(left).not.toMatch(/sandbox-p[xf]/);
      expect(left).toContain("sandbox-p2");
      await everyPodReachesEvery();
    });

    test("and it changes back, without a lost packet: Felix finds what it would make itself", async () => {
      const { node } = cluster.felix;
      const pings = [...pingAcross(), new Pinging(node, "ours-rig", pod("pc").addresses[0] ?? "")];
      expect(await cluster.agent(felixNode).stop()).toBe(0);
      expect(stateOf(node)).toEqual(before);
      node.sh(tablesAway);
      restartFelix(cluster.fabric, "Always");
      expect(stateOf(node)).toEqual(before);
      expect(node.sh("nft list tables")).not.toContain("tortie");
      await sleep(settleMs);
      for (const ping of pings) expect(await ping.stop()).toMatchObject({ lost: [] });
      await everyPodReachesEvery();
    });
  });

  // The last: tunnels whose pool wants none get other addresses.
  test("vxlanMode Never: the same, where the router knows the blocks", async () => {
    const { router, nodes } = cluster.fabric;
    for (const { spec } of await cluster.stored("ipamblocks")) {
      const { cidr, affinity } = spec as { readonly cidr: string; readonly affinity: string };
      const { address4, address6 } = cluster.fabric.named(affinity.replace("host:", ""));
      router.sh(`ip route replace ${cidr} via ${cidr.includes(":") ? address6 : address4}`);
    }
    router.sh(
      "for f in subnet1 subnet2; do echo 1 > /proc/sys/net/ipv4/conf/$f/proxy_arp; echo 1 > /proc/sys/net/ipv6/conf/$f/proxy_ndp; done",
    );
    for (const { address6, subnet } of nodes) router.sh(`ip -6 neigh add proxy ${address6} dev subnet${3 - subnet}`);
    await setMode("Never");
    await everyPodReachesEvery();
  });
});

/** What CHECK says against a pod that Calico's plugin made, by the result that it gave its runtime. */
function differencesOf(runner: Runner, { on, name: pod, sandbox, addresses }: MixedPod): readonly string[] {
  const ips = addresses.map((address) => ({ address: `${address}/${address.includes(":") ? 128 : 32}`, interface: 1 }));
  const { ifname: name, netns } = sandbox;
  const mac = /link\/ether (\S+)/.exec(on.node.sh(`ip -o link show ${name}`, { in: pod }))?.[1] ?? "";
  const interfaces = [{ name: "cali" }, { name, mac, sandbox: netns }];
  const list = { ...calicoConflist, cniVersion: "1.0.0" };
  const prevResult = { cniVersion: "1.0.0", interfaces, ips };
  const request = requestOf(list, list.plugins[0] ?? {}, { sandbox, prevResult });
  const answer = JSON.parse(runner.tryExec("CHECK", "calico", request, sandbox).stdout) as { readonly details: string };
  return (JSON.parse(answer.details) as readonly { readonly text: string }[]).map(({ text }) => text);
}

/** A second look of an agent would have changed by then what the first one left. */
const settleMs = 2000;
const conflist = join(root, "test/fixtures/10-calico.conflist");
/** Of docs/kubernetes.md. */
const tablesAway = "nft list tables | grep -E ' tortie(_tunnel|_source|_floating)?$' | sed 's/^/delete /' | nft -f -";

function exact(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

/** Tunnel devices with their indexes, and everything on them; the routes between nodes. */
function stateOf(node: Node): readonly string[] {
  const devices = ["vxlan.calico", "vxlan-v6.calico"];
  const commands = devices.flatMap((device) => [
    `ip -d link show ${device}`,
    `ip address show ${device}`,
    `bridge fdb show dev ${device} | sort`,
    `ip neighbour show dev ${device} nud permanent | sort`,
  ]);
  const lines = node.sh([...commands, "ip -d route", "ip -d -6 route"].join("\n")).split("\n");
  return lines.filter((line) => !line.includes(" dev cali")).map((line) => line.replace(" tentative", ""));
}
