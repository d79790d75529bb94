/** Each fact that is wrong, alone, and the step that says so. */
import { describe, expect, test } from "vitest";
import type { BaseChain, Rule } from "../../../../src/cli/doctor/reach/filter.ts";
import type { Link, TraceFacts } from "../../../../src/cli/trace/facts.ts";
import { hopsOf } from "../../../../src/cli/trace/hops.ts";
import { svgOf } from "../../../../src/cli/trace/svg.ts";
import { conclusion, firstWrong, titleOf } from "../../../../src/cli/trace/text.ts";
import {
  byVxlan,
  direct,
  found,
  healthy,
  link,
  local,
  outside,
  poolWith,
  source,
  toDefault,
  toNode,
  ways,
} from "./example.ts";

const wrongIn = (facts: TraceFacts) => {
  const hop = firstWrong(hopsOf(facts));
  return hop && `${hop.what}: ${hop.text}`;
};
const without = (changes: Partial<TraceFacts>) => wrongIn({ ...healthy, ...changes });
const stepOf = (facts: TraceFacts, what: string) => hopsOf(facts).find((hop) => hop.what.startsWith(what));
/** The facts with some properties of an interface changed, or without it. */
const withLink = (facts: TraceFacts, name: string, changes: Partial<Link> | undefined): TraceFacts => {
  const links = new Map(facts.links);
  const old = links.get(name);
  if (changes === undefined) links.delete(name);
  else if (old !== undefined) links.set(name, { ...old, ...changes });
  return { ...facts, links };
};

describe("hopsOf()", () => {
  test.each(Object.entries(ways))("nothing is wrong: %s", (_, facts) => {
    expect(wrongIn(facts)).toBeUndefined();
  });

  test("of IPIP has no neighbour and no FDB entry in the tunnel, and nothing is wrong", () => {
    const whats = hopsOf(healthy).map(({ what }) => what.split(" ")[0]);
    expect(whats).toEqual([
      ...["eth0", "route", "ARP", "cali1", "forwarding", "firewall", "route"],
      ...["tunl0", "outer", "firewall,", "eth0", "ARP", "MTU", "block", "pod", "firewall,", "reply", "firewall,"],
    ]);
    const back = hopsOf({ ...healthy, reply: { kind: "refused", reason: "No route to host" } });
    expect(conclusion(back)).toMatch(/^The reply gets no further than step 17: node a, reply: No route to host/);
    expect(conclusion(hopsOf(healthy))).toBe("Nothing that could be checked is wrong; 1 step could not be checked.");
  });

  test.each<readonly [string, Partial<TraceFacts>, string]>([
    [
      "no namespace",
      { sender: { link: undefined, route: { kind: "unasked" }, gateway: { kind: "missing" } } },
      "eth0: its namespace",
    ],
    [
      "no IPIP route",
      { route: { ...toDefault, dev: "eth9" } },
      "route: default via 169.254.1.1 dev eth9: by the mode of its pool the packet should leave by tunl0",
    ],
    [
      "another gateway",
      { route: { kind: "route", dev: "tunl0", gateway: "172.16.0.9", via: "10.0.1.0/30" } },
      "route: 10.0.1.0/30 via 172.16.0.9 dev tunl0: the block 10.0.1.0/30 is b's, whose gateway is 172.16.0.2",
    ],
    [
      "the reverse path filter",
      { route: { kind: "refused", reason: "Invalid cross-device link" } },
      "route: Invalid cross-device link: the reverse path filter of cali1 refuses 10.0.0.5",
    ],
    [
      "a route that refuses",
      { route: { kind: "refused", reason: "Invalid argument", by: { name: "the blackhole route 10.0.1.0/24" } } },
      "route: Invalid argument: the blackhole route 10.0.1.0/24 refuses it",
    ],
    [
      "no way back",
      { reply: { kind: "refused", reason: "No route to host" } },
      "reply: No route to host: there is no way back to 10.0.0.5",
    ],
    [
      "a rule that diverts replies",
      {
        reply: { kind: "route", dev: "eth0", gateway: undefined, via: "default", table: "52" },
        rules: [
          {
            ...{ priority: 99, text: "from all lookup 52", table: "52", action: undefined, from: undefined },
            ...{ to: undefined, iif: undefined, not: false, mark: undefined },
          },
        ],
      },
      "reply: default dev eth0 table 52: the pod is behind cali1; rule 99 (from all lookup 52) of tailscale diverts it",
    ],
  ])("finds %s", (_, changes, text) => {
    expect(without(changes)).toContain(text);
  });

  test("finds what is wrong with an interface", () => {
    expect(wrongIn(withLink(healthy, "tunl0", undefined))).toBe("tunl0: is missing");
    expect(wrongIn(withLink(healthy, "tunl0", { isUp: false }))).toBe("tunl0: is down");
    expect(wrongIn(withLink(direct, "eth0", { isUp: false }))).toBe("eth0: is down");
    expect(wrongIn(withLink(byVxlan, "eth0", { hasCarrier: false }))).toContain("eth0: has no carrier");
    expect(wrongIn(withLink(direct, "eth0", { addresses: [] }))).toContain(
      "eth0: lacks this node's address 172.16.0.1",
    );
  });

  test("compares the VXLAN device with what the datastore asks for", () => {
    const vxlan = byVxlan.links?.get("vxlan.calico")?.vxlan;
    const changed = (changes: object) =>
      withLink(byVxlan, "vxlan.calico", { vxlan: { ...vxlan, ...changes } as never });
    expect(wrongIn(changed({ vni: 7 }))).toBe("vxlan.calico: VNI is 7: it should be 4096");
    expect(wrongIn(changed({ port: 8472 }))).toBe("vxlan.calico: UDP port is 8472: it should be 4789");
    expect(wrongIn(changed({ local: "172.16.0.9" }))).toBe(
      "vxlan.calico: local address is 172.16.0.9: it should be 172.16.0.1",
    );
    expect(wrongIn(changed({ below: "cali2" }))).toContain("vxlan.calico: interface below is cali2: it should be eth0");
    expect(wrongIn({ ...changed({ vni: 7 }), settings: { vxlanVNI: 7 } })).toBeUndefined();
    // A running agent has settings of its own.
    expect(stepOf({ ...changed({ vni: 7 }), networking: "vxlan" }, "vxlan.calico")?.verdict).toBe("unchecked");
    expect(stepOf(changed({ vni: undefined }), "vxlan.calico")?.verdict).toBe("unchecked");
    expect(stepOf({ ...byVxlan, settings: undefined }, "vxlan.calico")?.verdict).toBe("unchecked");
  });

  test("judges the largest packet in every mode", () => {
    const large = (facts: TraceFacts) => ({
      ...facts,
      sender: { ...facts.sender, link: link("eth0", { mtu: 1600, addresses: ["10.0.0.5"] })[1] },
    });
    const wide = (facts: TraceFacts) => withLink(large(facts), "cali1", { mtu: 1600 });
    expect(wrongIn(large(healthy))).toBe("MTU: the pod has 1600, and cali1 1400: larger packets are lost");
    expect(wrongIn(wide(healthy))).toBe("MTU: the pod has 1600, and tunl0 1400: large packets depend on ICMP");
    expect(wrongIn(wide(direct))).toBe("MTU: the pod has 1600, and eth0 1500: large packets depend on ICMP");
    expect(wrongIn(wide(outside))).toBe("MTU: the pod has 1600, and eth0 1500: large packets depend on ICMP");
    expect(wrongIn(wide(local))).toContain("MTU: the pod has 1600, and cali2 1400");
    const tight = withLink(byVxlan, "eth0", { mtu: 1440 });
    expect(wrongIn(tight)).toBe("MTU: vxlan.calico has 1400, and eth0 1440: packets of more than 1390 bytes are lost");
  });

  test("an MTU that is not known is not judged", () => {
    const unknown: TraceFacts = {
      ...healthy,
      tunnel: healthy.tunnel && { ...healthy.tunnel, outer: { kind: "unasked" } },
      uplink: undefined,
    };
    expect(stepOf(unknown, "MTU")).toMatchObject({ verdict: "unchecked", text: "that of the uplink is not known" });
  });

  test("finds a next machine that does not answer, or that cannot be it", () => {
    const uplink = direct.uplink;
    if (uplink === undefined) throw new Error("the way has an uplink");
    const withNext = (neighbour: typeof uplink.neighbour) => ({ ...direct, uplink: { ...uplink, neighbour } });
    expect(wrongIn(withNext({ kind: "silent", state: "FAILED" }))).toBe("ARP for 172.16.0.2: does not answer (FAILED)");
    expect(wrongIn(withNext(found("02:00:00:00:01:01")))).toContain("which is this node's eth0");
    for (const neighbour of [
      { kind: "missing" },
      { kind: "unread", reason: "ip is missing" },
      found("02:00:00:00:02:01", "STALE"),
      found("02:00:00:00:02:01", "PERMANENT"),
    ] as const)
      expect(stepOf(withNext(neighbour), "ARP for 172")?.verdict).toBe("unchecked");
  });

  test("without a tunnel, the next hop is the other node, unless BIRD knows better", () => {
    const by = (changes: object): TraceFacts => ({ ...direct, route: { ...direct.route, ...changes } as never });
    expect(wrongIn(by({ gateway: "172.16.0.9" }))).toBe(
      "route: 10.0.1.0/30 via 172.16.0.9 dev eth0: the next hop should be 172.16.0.2 of b",
    );
    expect(wrongIn(by({ gateway: undefined }))).toContain("the next hop should be 172.16.0.2 of b");
    expect(wrongIn(by({ dev: "cali2" }))).toContain("this node's address 172.16.0.1 is on eth0");
    expect(wrongIn(by({ dev: "tunl0" }))).toContain("should leave without a tunnel");
    const bird = by({ gateway: "172.16.0.254", protocol: "bird" });
    expect(wrongIn(bird)).toBeUndefined();
    expect(hopsOf(bird)[6]).toMatchObject({ what: "route", verdict: "unchecked" });
    const near = { ...direct, pools: [poolWith({ vxlanMode: "CrossSubnet" })] };
    expect(wrongIn(near)).toBeUndefined();
    expect(wrongIn({ ...near, route: { ...direct.route, gateway: "172.16.0.9" } as never })).toContain("next hop");
  });

  test("a default route is no way to a block of another node", () => {
    const route = { kind: "route", dev: "eth0", gateway: "172.16.0.254", via: "default" } as const;
    expect(wrongIn({ ...direct, route })).toBe(
      "route: default via 172.16.0.254 dev eth0: there is no route to the block 10.0.1.0/30 of b",
    );
  });

  test("judges the other pod of this node like the first", () => {
    if (local.target.kind !== "local pod") throw new Error("the target is a pod of this node");
    const { receiver } = local.target;
    const withTarget = (changes: object): TraceFacts => ({
      ...local,
      target: { ...local.target, ...changes } as never,
    });
    const lost = { ...receiver, route: { kind: "refused", reason: "Network is unreachable" } };
    expect(wrongIn(withTarget({ receiver: lost }))).toBe(
      "route: the pod has no route to 10.0.0.5: Network is unreachable",
    );
    expect(wrongIn(withTarget({ receiver: { ...receiver, gateway: found("02:00:00:00:00:09") } }))).toContain(
      "ARP for 169.254.1.1: is 02:00",
    );
    expect(wrongIn(withTarget({ neighbour: found("02:00:00:00:00:09") }))).toBe(
      "ARP for 10.0.0.6: is 02:00:00:00:00:09, but the pod has 02:00:00:00:00:02: it drops the packet",
    );
    expect(wrongIn(withTarget({ neighbour: { kind: "silent", state: "FAILED" } }))).toContain("did not answer");
  });

  const dropping = (hook: BaseChain["hook"]): BaseChain => ({
    backend: "nft",
    family: "inet",
    table: "fw",
    name: hook,
    hook,
    policy: "drop",
    chains: new Map([[hook, []]]),
  });
  const forward = (policy: BaseChain["policy"], chains: Readonly<Record<string, readonly Rule[]>>): BaseChain => ({
    backend: "iptables",
    family: "ip",
    table: "filter",
    name: "FORWARD",
    hook: "forward",
    policy,
    chains: new Map(Object.entries(chains)),
  });

  test("walks all hooks that the packet meets, and no others", () => {
    for (const hook of ["prerouting", "postrouting"] as const)
      expect(without({ chains: [dropping(hook)] })).toContain(
        `firewall: nft inet fw ${hook}, by its policy "drop", drops it`,
      );
    expect(wrongIn({ ...direct, chains: [dropping("input")] })).toBeUndefined();
    expect(wrongIn({ ...toNode, chains: [dropping("input")] })).toContain("firewall: nft inet fw input");
    expect(wrongIn({ ...toNode, chains: [dropping("postrouting")] })).toBeUndefined();
  });

  test("a tunnel begins and ends on the node", () => {
    for (const facts of [healthy, byVxlan])
      for (const hook of ["output", "input"] as const)
        expect(wrongIn({ ...facts, chains: [dropping(hook)] })).toBe(
          `firewall, tunnel: nft inet fw ${hook}, by its policy "drop", drops it`,
        );
    expect(wrongIn({ ...direct, chains: [dropping("output")] })).toBeUndefined();
    const opened = (port: string): BaseChain => ({
      ...dropping("input"),
      chains: new Map([["input", [{ matches: dport(port), verdict: { kind: "accept" }, text: "rule 1" }]]]),
    });
    const dport = (port: string) =>
      [
        { kind: "protocol", values: ["udp"], not: false },
        { kind: "dport", values: [port], not: false },
      ] as const;
    expect(wrongIn({ ...byVxlan, chains: [opened("4789")] })).toBeUndefined();
    expect(wrongIn({ ...byVxlan, chains: [opened("8472")] })).toContain("firewall, tunnel: nft inet fw input");
  });

  test("a port that was asked for decides rules about ports", () => {
    const rule = { matches: [{ kind: "dport", values: ["22"], not: false }], verdict: { kind: "drop" } } as const;
    const chains = [forward("accept", { FORWARD: [{ ...rule, text: "-A FORWARD --dport 22 -j DROP" }] })];
    expect(stepOf({ ...local, chains }, "firewall")?.verdict).toBe("unchecked");
    const to = (number: number) => ({ ...local, chains, port: { number, protocol: "tcp" } as const });
    expect(stepOf(to(22), "firewall")?.verdict).toBe("wrong");
    expect(stepOf(to(80), "firewall")?.verdict).toBe("good");
  });

  test.each([
    ["docker", "DOCKER-USER"],
    ["ufw", "ufw-before-forward"],
  ])("names the program whose policy drops: %s", (name, chain) => {
    const base = forward("drop", { FORWARD: [], [chain]: [] });
    expect(without({ chains: [base] })).toBe(
      `firewall: iptables filter FORWARD (${name}), by its policy "drop", drops it`,
    );
  });

  test.each([
    ["Calico's felix", "cali-FORWARD"],
    ["kube-router", "KUBE-ROUTER-FORWARD"],
  ])("names the program whose rule drops: %s", (name, chain) => {
    const rule = { matches: [], verdict: { kind: "drop" }, text: `-A ${chain} -j DROP` } as const;
    const jump = { matches: [], verdict: { kind: "jump", chain }, text: `-A FORWARD -j ${chain}` } as const;
    const base = forward("accept", { FORWARD: [jump], [chain]: [rule] });
    expect(without({ chains: [base] })).toBe(`firewall: iptables filter FORWARD (${name}), by ${rule.text}, drops it`);
  });

  test("tells whose block it is, and who has an address that no known pod has", () => {
    const textOf = (owner: string | undefined) =>
      stepOf({ ...healthy, target: { ...healthy.target, owner } as TraceFacts["target"] }, "block")?.text;
    expect(textOf("b")).toBe("by the datastore is this node's");
    expect(textOf("c")).toBe("by the datastore is node c's: this node borrowed the address");
    const held = (node: string) =>
      without({
        target: {
          ...{ kind: "unallocated", address: "10.0.1.3", block: "10.0.1.0/30", on: "b" },
          holder: { pod: "shop/db", node },
        },
      });
    expect(held("a")).toContain("10.0.1.3 is allocated to shop/db on this node, where no pod has it (its block");
    expect(held("z")).toContain("10.0.1.3 is allocated to shop/db on node z, which the datastore does not know");
  });

  test("a namespace that could not be read is not called wrong", () => {
    const sender: TraceFacts["sender"] = {
      link: undefined,
      route: { kind: "unasked" },
      gateway: { kind: "missing" },
      unread: "nsenter is missing",
    };
    expect(without({ sender })).toBeUndefined();
    expect(hopsOf({ ...healthy, sender })[0]).toMatchObject({
      verdict: "unchecked",
      text: "could not be read: nsenter is missing",
    });
  });

  test("reports as well nothing that was not read", () => {
    const nothing = hopsOf({
      ...{ ...outside, sysctls: new Map(), hasUnreadRules: true, natTable: undefined },
      ...{ route: { kind: "unasked" }, reply: { kind: "unasked" }, links: undefined, uplink: undefined },
      sender: { ...outside.sender, route: { kind: "unasked" } },
    });
    expect(nothing.filter(({ verdict }) => verdict === "good").map(({ what }) => what)).toEqual(["eth0"]);
    expect(nothing.filter(({ verdict }) => verdict === "wrong")).toEqual([]);
  });

  test("a host port and a floating IP are steps of their own", () => {
    const redirect = {
      what: "host port",
      asked: "172.16.0.1:8080",
      address: "172.16.0.1",
      to: "10.0.0.6",
    } as const;
    const facts = { ...local, redirect };
    expect(titleOf(facts)).toMatch(/\(10\.0\.0\.6\) on this node, by the host port 172\.16\.0\.1:8080$/);
    expect(stepOf(facts, "host port")).toMatchObject({ verdict: "good" });
    const dead = { ...outside, redirect: { ...redirect, to: "192.0.2.1" } };
    expect(wrongIn(dead)).toContain("host port: 172.16.0.1:8080 leads to 192.0.2.1, which no pod of this node has");
    const lost = { what: "floating IP", asked: "192.0.2.1", address: "192.0.2.1", to: undefined } as const;
    const held = (node: string) => ({ ...outside, redirect: { ...lost, holder: { pod: "shop/db", node } } });
    expect(wrongIn(held("a"))).toContain(
      "192.0.2.1 should lead to shop/db here, but the table tortie_floating lacks it",
    );
    expect(stepOf(held("b"), "floating IP")?.verdict).toBe("unchecked");
    const free = { ...toNode, redirect: { ...redirect, to: undefined } };
    expect(stepOf(free, "host port")?.verdict).toBe("unchecked");
  });

  test("a picture has each step, and escapes what it says", () => {
    const picture = svgOf({ ...healthy, source: { ...source, name: "<pod>" } }, hopsOf(healthy));
    expect(picture.match(/<circle/g)).toHaveLength(hopsOf(healthy).length);
    expect(picture).toContain("&lt;pod&gt;");
    const faulty = withLink(healthy, "tunl0", { isUp: false });
    expect(svgOf(faulty, hopsOf(faulty))).toContain("ip link set tunl0 up</text>");
  });
});
