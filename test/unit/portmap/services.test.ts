/** Host ports on a node whose kube-proxy protects services from them by an ACCEPT in iptables, as it does in IPVS mode. */
import { beforeEach, describe, expect, test } from "vitest";
import { FakeIptables } from "../../lib/fake/iptables.ts";
import { FakeNft } from "../../lib/fake/nft.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { c1, c2, portmapOn, resultOf, web } from "./world.ts";

const first = resultOf("10.0.0.5/32", "fd00::5/128");
const second = resultOf("10.0.0.6/32", "fd00::6/128");
const conditional = { conditionsV4: ["ip", "saddr", "192.0.2.0/24"] };

let machine: FakeMachine;
let nft: FakeNft;
let iptables: FakeIptables;
let plugin: ReturnType<typeof portmapOn>;

beforeEach(() => {
  machine = new FakeMachine();
  nft = new FakeNft();
  machine.netfilter = () => nft;
  iptables = new FakeIptables(machine);
  machine.files.makeDirs("/run/tortie/endpoints", 0o755);
  for (const id of ["c1", "c2"]) machine.files.create(`/run/tortie/endpoints/net1:${id}:eth0.json`, "{}", 0o600);
  machine.kernel.host.addLink({ name: "cali1", kind: "veth", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500 });
  plugin = portmapOn(new FakeSys({ machine }));
});

/** Starts kube-proxy in IPVS mode. */
function startKubeProxy(): void {
  machine.kernel.host.addLink({ name: "kube-ipvs0", kind: "device", mac: "00:00:00:00:00:01", mtu: 1500 });
  for (const family of ["ip", "ip6"] as const) {
    iptables.run(
      family,
      "nat",
      ":KUBE-SERVICES - [0:0]",
      "-I PREROUTING -j KUBE-SERVICES",
      "-I OUTPUT -j KUBE-SERVICES",
    );
  }
}

describe("portmap: with kube-proxy in IPVS mode", () => {
  test("host ports stand in iptables behind its chain, in both families, and DEL leaves nothing", () => {
    startKubeProxy();
    const before = [iptables.print("ip"), iptables.print("ip6")];
    plugin.add(c1, [web], first);
    plugin.check(c1, [web], first);
    for (const family of ["ip", "ip6"] as const) {
      expect(iptables.print(family)).toMatch(/-A PREROUTING -j KUBE-SERVICES\n-A PREROUTING .*-j CNI-HOSTPORT-DNAT\n/);
      expect(iptables.print(family)).toMatch(/-A OUTPUT -j KUBE-SERVICES\n-A OUTPUT .*-j CNI-HOSTPORT-DNAT\n/);
    }
    expect(nft.print()).toBe("");
    plugin.del(c1);
    expect([iptables.print("ip"), iptables.print("ip6")]).toEqual(before);
  });

  test("also when nftables was asked for", () => {
    startKubeProxy();
    plugin.add(c1, [web], first, { backend: "nftables" });
    expect(nft.print()).toBe("");
  });

  test.each([
    ["iptables is not installed", {}, () => machine.files.removeFile("/usr/sbin/ip6tables-restore")],
    ["conditions are in nftables' language", conditional, () => {}],
  ])("they stay in nftables where %s", (_, extra, prepare) => {
    prepare();
    startKubeProxy();
    plugin.add(c1, [web], first, extra);
    expect(nft.print()).toContain("tcp . 8080");
    expect(iptables.print("ip")).not.toContain("CNI-");
  });

  test.each([
    ["its chain alone: IPVS mode", ["KUBE-SERVICES"], true],
    ["the chain that translates: iptables mode", ["KUBE-SERVICES", "KUBE-NODEPORTS"], false],
    ["none", ["DOCKER"], false],
  ])("is known by its chains in nf_tables: %s", (_, chains, isIpvs) => {
    for (const chain of chains) nft.addChain("ip", "nat", chain);
    plugin.add(c1, [web], first);
    expect(iptables.print("ip").includes("CNI-DN-")).toBe(isIpvs);
    expect(nft.print().includes("tcp . 8080")).toBe(!isIpvs);
  });
});

describe("portmap: when kube-proxy comes after the host ports", () => {
  test.each([
    ["with host ports", [{ ...web, hostPort: 9090 }]],
    ["without", []],
  ])("the next ADD, %s, moves them, and all goes on as if it had been there before", (_, ports) => {
    plugin.add(c1, [web, { ...web, hostIP: "192.0.2.1", hostPort: 81 }], first);
    startKubeProxy();
    plugin.add(c2, ports, second);
    expect(nft.print()).toBe("");
    expect(iptables.print("ip")).toContain("--dport 8080 -j DNAT --to-destination 10.0.0.5:80");
    expect(iptables.print("ip")).toContain(
      "-d 192.0.2.1/32 -p tcp -m tcp --dport 81 -j DNAT --to-destination 10.0.0.5:80",
    );
    expect(iptables.print("ip6")).toContain("--dport 8080 -j DNAT --to-destination [fd00::5]:80");
    plugin.check(c1, [web, { ...web, hostIP: "192.0.2.1", hostPort: 81 }], first);
    plugin.del(c1);
    plugin.del(c2);
    expect(iptables.print("ip")).not.toContain("CNI-");
  });

  test.each([
    ["not hidden", { snat: false }],
    ["hidden from itself", {}],
    ["hidden all", { masqAll: true }],
  ])("what was %s is so afterwards", (_, extra) => {
    plugin.add(c1, [web], first, extra);
    startKubeProxy();
    plugin.add(c2, [], second);
    plugin.check(c1, [web], first, extra);
    expect(iptables.print("ip").includes("CNI-HOSTPORT-SETMARK")).toBe(!("snat" in extra));
  });

  test("what has conditions of nftables' stays, and the others go", () => {
    plugin.add(c1, [web], first, conditional);
    plugin.add(c2, [{ ...web, hostPort: 9090 }], second);
    startKubeProxy();
    plugin.add(c2, [{ ...web, hostPort: 9090 }], second);
    expect(nft.print()).toContain("tcp . 8080");
    expect(nft.print()).not.toContain("tcp . 9090");
  });

  test("a move that is killed at any step is completed by the next ADD", () => {
    const moved = (killAt: number): { readonly state: string; readonly isDone: boolean } => {
      machine = new FakeMachine();
      nft = new FakeNft();
      const mine = nft;
      machine.netfilter = () => mine;
      iptables = new FakeIptables(machine);
      machine.files.makeDirs("/run/tortie", 0o755);
      machine.kernel.host.addLink({ name: "cali1", kind: "veth", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500 });
      portmapOn(new FakeSys({ machine })).add(c1, [web], first);
      startKubeProxy();
      const dying = new FakeSys({ machine });
      dying.killAt(killAt);
      let isDone = true;
      try {
        portmapOn(dying).add(c2, [], second);
      } catch {
        isDone = false;
      }
      dying.end();
      isDone &&= dying.steps < killAt;
      portmapOn(new FakeSys({ machine })).add(c2, [], second);
      return { state: [nft.print(), iptables.print("ip"), iptables.print("ip6")].join("\n"), isDone };
    };
    const { state } = moved(Number.POSITIVE_INFINITY);
    expect(state).toContain("10.0.0.5:80");
    let step = 1;
    for (; ; step++) {
      const one = moved(step);
      expect(one.state).toBe(state);
      if (one.isDone) break;
    }
    expect(step).toBeGreaterThan(10);
  });
});

describe("portmap: a port that the other back end maps", () => {
  const taken = 'cannot map host port 8080/tcp: it is taken by container "c1" (network "net1", interface "eth0")';
  const byIptables = { backend: "iptables" };

  test.each([
    ["iptables", byIptables, {}, web, web],
    ["nftables", {}, byIptables, web, web],
    ["nftables, at one address,", {}, byIptables, { ...web, hostIP: "192.0.2.1" }, web],
  ])("is refused by name: %s has it", (_, ours, theirs, has, wants) => {
    plugin.add(c1, [has], first, ours);
    // iptables-nft shows its chains in nf_tables.
    if (ours === byIptables) nft.addChain("ip", "nat", "CNI-HOSTPORT-DNAT");
    expect(() => plugin.add(c2, [wants], second, theirs)).toThrow(taken);
    plugin.add(c2, [{ ...web, hostPort: 9090 }], second, theirs);
  });

  test.each([
    ["to iptables", {}, byIptables],
    ["to nftables", byIptables, {}],
  ])("and one of the own is moved by a repeated ADD: %s", (_, before, after) => {
    plugin.add(c1, [web], first, before);
    plugin.add(c1, [web], first, after);
    expect([nft.print() === "", iptables.print("ip").includes("CNI-")]).toEqual(
      after === byIptables ? [true, true] : [false, false],
    );
  });
});
