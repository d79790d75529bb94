/** The paths of packets, checked against real output of ip, nft, iptables-save and the kernel. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  noReachFacts,
  type ProbeResult,
  type ReachFacts,
  type ReachPod,
} from "../../../../src/cli/doctor/reach/facts.ts";
import {
  type BaseChain,
  distinguishing,
  matchKey,
  type Packet,
  walk,
} from "../../../../src/cli/doctor/reach/filter.ts";
import { readIptablesChains, tablesIn } from "../../../../src/cli/doctor/reach/filter-iptables.ts";
import { readNftChains } from "../../../../src/cli/doctor/reach/filter-nft.ts";
import { readRules } from "../../../../src/cli/doctor/reach/gather-ways.ts";
import { readBatch } from "../../../../src/cli/doctor/reach/lookup.ts";
import { counterIn, resultOf, tracksIn } from "../../../../src/cli/doctor/reach/probe.ts";
import { checkReach, describeReach } from "../../../../src/cli/doctor/reach/reach.ts";
import { addressBytes } from "../../../../src/net/address.ts";

const packet: Packet = {
  family: 4,
  iif: "cali0123456789a",
  oif: "up0",
  saddr: addressBytes("10.65.0.5"),
  daddr: addressBytes("198.41.0.4"),
  protocol: "udp",
  state: "new",
};
const answer: Packet = {
  ...packet,
  iif: "up0",
  oif: packet.iif,
  saddr: packet.daddr,
  daddr: packet.saddr,
  state: "established",
};

function verdict(base: BaseChain | undefined, what: Packet = packet): string {
  if (base === undefined) throw new Error("there is no such chain");
  const { accept, drop } = walk(base, what);
  return accept && drop ? "maybe" : accept ? "passes" : "dropped";
}

function forward(rules: readonly string[], policy = "DROP", chains = ""): BaseChain | undefined {
  const text = [
    "*filter",
    `:FORWARD ${policy} [0:0]`,
    ...chains
      .split(" ")
      .filter(Boolean)
      .map((name) => `:${name} - [0:0]`),
    ...rules,
    "COMMIT",
  ];
  return readIptablesChains(text.join("\n"), "iptables", "ip").find(({ hook }) => hook === "forward");
}

describe("rules of iptables", () => {
  test.each([
    [[], "dropped"],
    [["-A FORWARD -i cali+ -j ACCEPT"], "passes"],
    [["-A FORWARD ! -i docker0 -o up0 -j ACCEPT"], "passes"],
    [["-A FORWARD ! -i cali+ -j ACCEPT"], "dropped"],
    [["-A FORWARD -s 10.65.0.0/24 -j ACCEPT"], "passes"],
    [["-A FORWARD -s 10.65.1.0/24 -j ACCEPT"], "dropped"],
    [["-A FORWARD -d 198.41.0.4/32 -p udp -m udp --dport 53 -j ACCEPT"], "maybe"],
    [["-A FORWARD -p icmp -m icmp --icmp-type 8 -j ACCEPT"], "dropped"],
    [["-A FORWARD -p tcp -j ACCEPT"], "dropped"],
    [["-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"], "dropped"],
    [["-A FORWARD -m conntrack ! --ctstate INVALID -j ACCEPT"], "passes"],
    [["-A FORWARD -m conntrack --ctstate DNAT -j ACCEPT"], "dropped"],
    [["-A FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT"], "maybe"],
    [['-A FORWARD -m comment --comment "let it -j DROP" -j ACCEPT'], "passes"],
    [["-A FORWARD -m set --match-set pods src -j ACCEPT"], "maybe"],
    [["[12:345] -A FORWARD -j ACCEPT"], "passes"],
    [["-A FORWARD -j LOG --log-prefix x", "-A FORWARD -j ACCEPT"], "passes"],
    [["-A FORWARD -j NFQUEUE --queue-num 0"], "maybe"],
    [["-A FORWARD -m limit --limit 3/min -j RETURN", "-A FORWARD -j ACCEPT"], "maybe"],
  ])("%j with policy drop: %s", (rules, expected) => {
    expect(verdict(forward(rules))).toBe(expected);
  });

  test("jumps come back, a goto comes back to who called, and a return leaves the chain", () => {
    const drop = "-A A -j DROP";
    expect(verdict(forward(["-A FORWARD -j A", drop], "ACCEPT", "A"))).toBe("dropped");
    expect(verdict(forward(["-A FORWARD -j A", "-A A -j RETURN", drop], "ACCEPT", "A"))).toBe("passes");
    expect(verdict(forward(["-A FORWARD -g A", "-A FORWARD -j DROP", "-A A -i lo -j DROP"], "ACCEPT", "A"))).toBe(
      "passes",
    );
    expect(
      verdict(forward(["-A FORWARD -j A", "-A A -g B", "-A A -j DROP", "-A FORWARD -j DROP"], "ACCEPT", "A B")),
    ).toBe("dropped");
    expect(verdict(forward(["-A FORWARD -m mark --mark 1 -j A", drop], "ACCEPT", "A"))).toBe("maybe");
  });

  test("answers have another way than questions", () => {
    const base = forward(["-A FORWARD -o cali+ -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"]);
    expect([verdict(base), verdict(base, answer)]).toEqual(["dropped", "passes"]);
  });

  test("tables that give addresses are not read, and those that nft must read are not named", () => {
    const text =
      "*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n*raw\n:PREROUTING DROP [0:0]\nCOMMIT\n# Table `filter' is incompatible, use 'nft' tool.\n";
    expect(tablesIn(text)).toEqual(["nat", "raw"]);
    expect(readIptablesChains(text, "iptables", "ip").map(({ table, policy }) => [table, policy])).toEqual([
      ["raw", "drop"],
    ]);
  });

  test("whatever the rules are: what passes surely is not dropped surely", () => {
    const word = fc.constantFrom(
      "-i cali+",
      "! -i up0",
      "-s 10.65.0.0/24",
      "-p udp",
      "-m mark --mark 1",
      "-m conntrack --ctstate NEW",
    );
    const target = fc.constantFrom("-j ACCEPT", "-j DROP", "-j RETURN", "-j A", "-g B", "-j LOG");
    const line = fc
      .tuple(fc.constantFrom("FORWARD", "A"), fc.array(word, { maxLength: 2 }), target)
      .map(
        ([chain, words, end]) => `-A ${chain} ${words.join(" ")} ${chain === "A" && end === "-j A" ? "-j DROP" : end}`,
      );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 6 }), fc.constantFrom("ACCEPT", "DROP"), (rules, policy) => {
        const base = forward(rules, policy, "A B");
        if (base === undefined) return false;
        const { accept, drop, places } = walk(base, packet);
        return (accept || drop) && (!drop || places.length > 0);
      }),
    );
  });

  test("packets that no rule tells apart have the same verdict", () => {
    const octet = fc.integer({ min: 0, max: 7 });
    const word = octet.map((last) => `-s 10.65.0.${last}/${29 + (last % 4)}`);
    const line = fc
      .tuple(word, fc.constantFrom("ACCEPT", "DROP"))
      .map(([match, end]) => `-A FORWARD ${match} -j ${end}`);
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), octet, octet, (rules, one, other) => {
        const chains = [forward(rules)].flatMap((base) => base ?? []);
        const packets = [one, other].map((last) => ({ ...packet, saddr: addressBytes(`10.65.0.${last}`) }));
        const [left, right] = packets.map((each) => matchKey(distinguishing(chains), each));
        const [mine, yours] = packets.map((each) => verdict(chains[0], each));
        return left !== right || mine === yours;
      }),
    );
  });
});

/** The output of `nft -j list table` of nft 1.0.6. */
const ofNft = (expr: readonly object[], policy = "drop") => [
  { chain: { family: "inet", table: "t", name: "f", handle: 1, type: "filter", hook: "forward", prio: 0, policy } },
  { chain: { family: "inet", table: "t", name: "other", handle: 2 } },
  { rule: { family: "inet", table: "t", chain: "f", handle: 3, expr } },
  { rule: { family: "inet", table: "t", chain: "other", handle: 4, expr: [{ accept: null }] } },
];
const match = (left: object, right: unknown, op = "==") => ({ match: { op, left, right } });
const iifname = { meta: { key: "iifname" } };
const state = { ct: { key: "state" } };
const saddr = { payload: { protocol: "ip", field: "saddr" } };

describe("rules of nf_tables", () => {
  test.each<[string, readonly object[], string]>([
    ["an interface", [match(iifname, "cali*"), { accept: null }], "passes"],
    ["a list of interfaces", [match(iifname, { set: ["lo", "cali*"] }), { accept: null }], "passes"],
    ["another interface", [match(iifname, "cali*", "!="), { accept: null }], "dropped"],
    [
      "a prefix",
      [match(saddr, { prefix: { addr: "10.65.0.0", len: 16 } }), { counter: null }, { accept: null }],
      "passes",
    ],
    ["another prefix", [match(saddr, { prefix: { addr: "10.66.0.0", len: 16 } }), { accept: null }], "dropped"],
    ["a named set", [match(saddr, "@pods"), { accept: null }], "maybe"],
    ["a range", [match(saddr, { range: ["10.65.0.0", "10.65.0.9"] }), { accept: null }], "maybe"],
    ["the other family", [match({ payload: { protocol: "ip6", field: "saddr" } }, "@x"), { accept: null }], "dropped"],
    ["the state", [match(state, ["established", "related"], "in"), { accept: null }], "dropped"],
    [
      "a port of another protocol",
      [match({ payload: { protocol: "tcp", field: "dport" } }, 443), { accept: null }],
      "dropped",
    ],
    ["a jump", [{ jump: { target: "other" } }], "passes"],
    ["reject", [{ reject: { type: "icmpx", expr: "admin-prohibited" } }], "dropped"],
    [
      "a verdict map of states",
      [
        {
          vmap: {
            key: state,
            data: {
              set: [
                ["new", { accept: null }],
                ["invalid", { drop: null }],
              ],
            },
          },
        },
      ],
      "passes",
    ],
    ["a named verdict map", [{ vmap: { key: iifname, data: "@jumps" } }], "maybe"],
    ["a limit", [{ limit: { rate: 3, burst: 5, per: "minute" } }, { accept: null }], "maybe"],
    ["an extension of iptables", [{ xt: { type: "match", name: "mark" } }, { accept: null }], "maybe"],
    ["a queue", [{ queue: { num: 0 } }], "maybe"],
    ["only a log", [{ log: null }], "dropped"],
  ])("%s", (_, expr, expected) => {
    expect(verdict(readNftChains(ofNft(expr))[0])).toBe(expected);
  });
});

describe("gatherReach() parses the output of ip", () => {
  test("a batch: answers on stdout, refusals by their line on stderr", () => {
    const stdout = `[{"dst":"198.41.0.4","from":"10.65.0.5","gateway":"172.31.250.2","dev":"up0","table":"100","flags":[],"cache":[],"iif":"calix"}]
[{"dst":"10.65.0.5","dev":"calix","prefsrc":"172.31.250.1","flags":[],"uid":0,"cache":[]}]
`;
    const stderr =
      "RTNETLINK answers: No route to host\nCommand failed -:2\nRTNETLINK answers: Permission denied\nCommand failed -:4\n";
    expect(readBatch(stdout, stderr, 4)).toEqual([
      { kind: "route", dev: "up0", gateway: "172.31.250.2", table: "100", source: undefined },
      { kind: "refused", reason: "unreachable host" },
      { kind: "route", dev: "calix", gateway: undefined, table: undefined, source: "172.31.250.1" },
      { kind: "refused", reason: "prohibited" },
    ]);
    expect(() => readBatch("", 'Option "-batch" is unknown\n', 1)).toThrow(/ip answered 0 of 1: Option/);
  });

  test("rules, in words", () => {
    const text = `[{"priority":0,"src":"all","table":"local"},{"priority":50,"src":"all","action":"blackhole"},
      {"priority":32002,"src":"10.65.0.0","srclen":16,"dst":"10.65.0.0","dstlen":16,"action":"blackhole","protocol":"80"},
      {"priority":32002,"src":"all","dst":"10.66.0.0","dstlen":16,"action":"blackhole"},
      {"priority":32764,"src":"all","table":"main","suppress_prefixlen":0},{"not":null,"priority":32765,"src":"all","fwmark":"0xca6c","table":"51820"},
      {"priority":32765,"src":"10.1.0.0","srclen":16,"iif":"eth1","table":"7"}]`;
    expect(readRules(text).map(({ priority, text: words, not, from }) => [priority, words, not, from])).toEqual([
      [0, "from all lookup local", false, undefined],
      [50, "from all blackhole", false, undefined],
      // The elements of pools belong to the plugins.
      [32002, "from all to 10.66.0.0/16 blackhole", false, undefined],
      [32764, "from all lookup main", false, undefined],
      [32765, "not from all fwmark 0xca6c lookup 51820", true, undefined],
      [32765, "from 10.1.0.0/16 iif eth1 lookup 7", false, "10.1.0.0/16"],
    ]);
    expect(readRules("")).toEqual([]);
  });
});

const pod: ReachPod = {
  name: "default/a eth0",
  hostInterface: packet.iif,
  ifname: "eth0",
  mac: "02:01:23:45:67:89",
  address: "10.65.0.5",
  family: 4,
  netns: "/run/netns/a",
  hasNat: true,
};

describe("checkProbes()", () => {
  const table =
    "ipv4     2 udp      17 29 src=10.65.0.5 dst=198.41.0.4 sport=44581 dport=53 [UNREPLIED] src=198.41.0.4 dst=172.31.250.1 sport=53 dport=44581 mark=0 zone=0 use=2\n" +
    "ipv4     2 udp      17 9 src=10.65.0.9 dst=1.1.1.1 sport=1 dport=53 src=1.1.1.1 dst=172.31.250.1 sport=53 dport=1 mark=0 use=2\n" +
    "ipv6     10 udp      17 29 src=fd65:0000:0000:0000:0000:0000:0000:0005 dst=2001:0503:ba3e:0000:0000:0000:0002:0030 sport=7 dport=443 [UNREPLIED] src=2001:0503:ba3e:0000:0000:0000:0002:0030 dst=fd31:0250:0000:0000:0000:0000:0000:0001 sport=443 dport=7 mark=0 use=2\n";

  test("connection tracking shows what left, and as whom", () => {
    expect(tracksIn(table)).toEqual([
      { source: "10.65.0.5", port: 44581, leftAs: "172.31.250.1" },
      { source: "fd65::5", port: 7, leftAs: "fd31:250::1" },
    ]);
  });

  test("what the node itself cannot have is not missed", () => {
    const sent = { family: 4, ports: [44581], answer: "missing" } as const;
    const control = { ...sent, ports: [9], answer: "came" } as const;
    const tracked = tracksIn(table);
    expect(resultOf(pod, sent, control, tracked)).toMatchObject({
      left: "yes",
      leftAs: "172.31.250.1",
      answer: "missing",
    });
    expect(resultOf(pod, { ...sent, ports: [1] }, control, tracked)).toMatchObject({ left: "no", answer: "missing" });
    expect(resultOf(pod, sent, control, undefined)).toMatchObject({ left: "unknown", answer: "missing" });
    expect(resultOf(pod, sent, { ...control, answer: "missing" }, tracked)).toMatchObject({ answer: "unknown" });
    expect(resultOf({ ...pod, hasNat: false }, sent, control, tracked)).toMatchObject({ answer: "unknown" });
    expect(resultOf({ ...pod, hasNat: false }, { ...sent, answer: "refused" }, control, tracked)).toMatchObject({
      answer: "refused",
    });
    expect(resultOf(pod, undefined, control, tracked)).toMatchObject({ left: "unknown", answer: "unknown" });
  });

  test("the kernel's counters, by name", () => {
    const text = "TcpExt: SyncookiesSent IPReversePathFilter\nTcpExt: 3 17\nIpExt: InNoRoutes\nIpExt: 0\n";
    expect(counterIn(text, "TcpExt", "IPReversePathFilter")).toBe(17);
    expect(counterIn(text, "TcpExt", "NoSuchName")).toBe(0);
  });
});

const out = { kind: "route", dev: "up0", gateway: "172.31.250.2", table: undefined, source: undefined } as const;
const home = {
  kind: "route",
  dev: pod.hostInterface,
  gateway: undefined,
  table: undefined,
  source: undefined,
} as const;
const well: ReachFacts = {
  ...noReachFacts,
  pods: [pod],
  uplinks: { 4: out, 6: { kind: "refused", reason: "unreachable network" } },
  ways: [{ out, back: home, toPod: home, conflictingRoute: undefined }],
  sysctls: new Map([
    ["net/ipv4/ip_forward", "1"],
    [`net/ipv4/conf/${pod.hostInterface}/forwarding`, "1"],
    ["net/ipv4/conf/up0/forwarding", "1"],
  ]),
  ownAddresses: ["172.31.250.1"],
};
const probed = (change: Partial<ProbeResult>): ReachFacts["probe"] => ({
  unsent: undefined,
  results: [{ pod, left: "yes", leftAs: "172.31.250.1", answer: "came", ...change }],
  reversePathDrops: 0,
});

function told(change: Partial<ReachFacts>): readonly string[] {
  return checkReach({ ...well, ...change }, []).map(
    ({ severity, id, subject, text }) => `${severity} ${id}: ${subject} ${text}`,
  );
}

describe("checkReach()", () => {
  const doubtful = [
    forward(["-A FORWARD -p tcp --dport 443 -j ACCEPT", "-A FORWARD -p udp --dport 53 -j ACCEPT"]),
  ].flatMap((one) => one ?? []);
  const drop = [forward([])].flatMap((one) => one ?? []);

  test("a pod that is well has none, and one that is not there has none", () => {
    expect(told({})).toEqual([]);
    expect(told({ probe: probed({}) })).toEqual([]);
    expect(told({ pods: [], ways: [], chains: drop })).toEqual([]);
  });

  describe("what Felix left for the pods of then", () => {
    const rules = [
      "-A FORWARD -j cali-FORWARD",
      "-A cali-FORWARD -i cali+ -j cali-from-wl-dispatch",
      `-A cali-from-wl-dispatch -i ${pod.hostInterface} -g cali-fw`,
      '-A cali-from-wl-dispatch -m comment --comment "Unknown interface" -j DROP',
      "-A cali-fw -j ACCEPT",
    ];
    const names = "cali-FORWARD cali-from-wl-dispatch cali-fw";
    const chainsOf = (some: readonly string[]) => [forward(some, "ACCEPT", names)].flatMap((one) => one ?? []);
    const chains = chainsOf(rules);
    const left =
      /^warning felix-left: iptables filter FORWARD drops the packets of pods that are made from now on, by -A cali-from/;

    test("is a warning, with pods and without", () => {
      expect(told({ chains })).toEqual([expect.stringMatching(left)]);
      expect(told({ chains, pods: [], ways: [] })).toEqual([expect.stringMatching(left)]);
      expect(checkReach({ ...well, chains }, [])[0]?.remedy).toMatch(
        /^iptables-save -t filter \| grep -v .* \| iptables-restore -T filter$/,
      );
    });

    test("is nothing while Felix runs, and is not told twice of a pod that it cuts off", () => {
      expect(told({ chains, services: ["Calico"] })).toEqual([]);
      const ids = told({ chains: chainsOf(rules.filter((rule) => !rule.endsWith("-g cali-fw"))) });
      expect(ids).toEqual([expect.stringMatching(/^error forward-dropped/)]);
    });
  });

  test("rules that leave no doubt need no probe; a probe that passed is believed", () => {
    expect(told({ chains: drop })[0]).toMatch(
      /^error forward-dropped: iptables filter FORWARD drops packets from pods to the outside and replies to pods, by its policy "drop"/,
    );
    expect(told({ chains: drop, probe: probed({}) })).toEqual([]);
  });

  test("what rules may do is an error where a probe was lost, a warning where none could be sent, and nothing where it passed", () => {
    expect(told({ chains: doubtful })[0]).toMatch(
      /^warning forward-may-drop: iptables filter FORWARD may drop packets from pods/,
    );
    expect(told({ chains: doubtful, probe: probed({ left: "no", answer: "missing" }) })[0]).toMatch(
      /^error forward-dropped: iptables filter FORWARD drops .*; a probe packet was lost;/,
    );
    expect(told({ chains: doubtful, probe: probed({}) })).toEqual([]);
  });

  test("who wrote a rule for pods may mean to let only some of it pass", () => {
    const chains = [
      forward(["-A FORWARD -i cali+ -p udp --dport 5353 -j ACCEPT", "-A FORWARD -o cali+ -j ACCEPT"]),
    ].flatMap((one) => one ?? []);
    expect(told({ chains, probe: probed({ left: "no", answer: "missing" }) })[0]).toMatch(/^warning forward-dropped/);
    expect(told({ chains })).toEqual([]);
  });

  test("reports a loss without a known cause as such", () => {
    expect(told({ probe: probed({ left: "no", answer: "missing" }) })).toEqual([
      expect.stringMatching(/^error packets-lost: probe packet of a pod did not leave the node/),
    ]);
    expect(told({ probe: probed({ answer: "missing" }) })).toEqual([expect.stringMatching(/^warning answers-lost/)]);
    expect(told({ probe: probed({ leftAs: "10.65.0.5" }) })).toEqual([
      expect.stringMatching(
        /^warning nat-elsewhere: 10\.65\.0\.5 .*with its own address, although its pool has natOutgoing/,
      ),
    ]);
  });

  test("connection tracking that is full, and one that soon is", () => {
    const tracked = (count: number) =>
      told({
        sysctls: new Map([
          ...well.sysctls,
          ["net/netfilter/nf_conntrack_max", "100"],
          ["net/netfilter/nf_conntrack_count", `${count}`],
        ]),
      });
    expect(tracked(94)).toEqual([]);
    expect(tracked(96)).toEqual([expect.stringMatching(/^warning connections-full: .*soon packets/)]);
    expect(tracked(100)).toEqual([expect.stringMatching(/^error connections-full: .*new connections are dropped/)]);
  });

  test("reports a wrong neighbour entry, a failed one, and a silent gateway", () => {
    const entry = { address: pod.address, dev: pod.hostInterface, mac: pod.mac, isFailed: false };
    expect(told({ neighbours: [entry] })).toEqual([]);
    expect(told({ neighbours: [{ ...entry, mac: "02:00:00:00:00:01" }] })).toEqual([
      expect.stringMatching(
        /^error neighbour-wrong: neighbour 10\.65\.0\.5 dev cali\w+ .* has MAC address 02:00:00:00:00:01/,
      ),
    ]);
    const failed = { ...entry, mac: undefined, isFailed: true };
    expect(told({ neighbours: [failed] })).toEqual([
      expect.stringMatching(/^warning neighbour-wrong: .*does not answer ARP/),
    ]);
    expect(told({ neighbours: [failed], probe: probed({}) })).toEqual([]);
    expect(told({ neighbours: [{ ...failed, address: "172.31.250.2", dev: "up0" }] })).toEqual([
      expect.stringMatching(/^warning gateway-silent: 172\.31\.250\.2 is the gateway by up0/),
    ]);
  });

  test("an XDP program on a host interface, by its number", () => {
    const links = [{ name: pod.hostInterface, mtu: 1500, addresses: [], programs: ["XDP program 12"], isLost: false }];
    expect(told({ links })).toEqual([
      expect.stringMatching(/^warning foreign-program: cali\w+ has .*\(XDP program 12\)/),
    ]);
  });

  test("that pods are kept from each other is a warning: it may be meant so", () => {
    const rules = ["-A FORWARD -i cali+ -o cali+ -j DROP"];
    const chains = [forward(rules, "ACCEPT")].flatMap((one) => one ?? []);
    const pods = [pod, { ...pod, hostInterface: "calib", address: "10.65.0.6" }];
    const ways = pods.map(() => ({ out, back: home, toPod: { ...home }, conflictingRoute: undefined }));
    const other = { ...home, dev: "calib" };
    expect(
      told({
        pods,
        ways: [ways[0] ?? well.ways[0], { ...ways[0], out, back: other, toPod: other }].flatMap(
          (way) => way ?? [],
        ) as ReachFacts["ways"],
        chains,
      }),
    ).toEqual([
      expect.stringMatching(
        /^warning forward-dropped: iptables filter FORWARD drops packets between pods, by -A FORWARD -i cali\+ -o/,
      ),
    ]);
  });

  test("a refusal is blamed on a rule that is for such packets, or on a route of a table that is looked into", () => {
    const refused = { kind: "refused", reason: "prohibited" } as const;
    const ways = [{ out: refused, back: home, toPod: home, conflictingRoute: undefined }];
    const text = (rules: string, refusing: ReachFacts["refusing"][4] = []) =>
      told({ ways, rules: { 4: readRules(rules), 6: [] }, refusing: { 4: refusing, 6: [] } });
    const others =
      '{"priority":9,"src":"10.9.0.0","srclen":16,"action":"prohibit"},{"priority":10,"src":"all","iif":"eth7","action":"prohibit"}';
    const route = { type: "prohibit", destination: "default", table: "7" };
    expect(text(`[${others},{"priority":11,"src":"10.65.0.0","srclen":24,"action":"prohibit"}]`)[0]).toMatch(
      /^error way-refused: IPv4 rule 11 \(from 10\.65\.0\.0\/24 prohibit\) refuses packets from a pod to the outside/,
    );
    expect(text(`[${others},{"priority":12,"src":"all","table":"7"}]`, [{ ...route, table: "8" }, route])[0]).toMatch(
      /^error way-refused: route prohibit default of table 7 refuses/,
    );
    expect(text(`[${others}]`, [route])[0]).toMatch(
      /^error way-refused: IPv4 routes refuse packets from a pod .*\(prohibited\)/,
    );
  });

  test("reports a hundred pods once", () => {
    const pods = Array.from({ length: 100 }, (_, index) => ({
      ...pod,
      name: `default/p${index} eth0`,
      address: `10.65.0.${index}`,
    }));
    const text = told({
      pods,
      ways: pods.map(() => ({ out, back: home, toPod: home, conflictingRoute: undefined })),
      chains: drop,
    });
    expect(text).toHaveLength(1);
    expect(text[0]).toContain(
      "100 addresses of pods are cut off: default/p0 eth0 (10.65.0.0), default/p1 eth0 (10.65.0.1) and 98 more",
    );
  });

  test("what was asked, and what could not be", () => {
    expect(describeReach(noReachFacts)).toBe("no pods");
    expect(describeReach({ ...well, probe: probed({}) })).toBe(
      "1 address of a pod; IPv4 by up0; 1 probe packet sent, 1 seen leaving the node, 1 answered",
    );
    expect(describeReach({ ...well, probe: { unsent: "--no-probe", results: [], reversePathDrops: 0 } })).toBe(
      "1 address of a pod; IPv4 by up0; no probe packet sent (--no-probe)",
    );
    const blind = probed({ left: "unknown", answer: "unknown" });
    expect(describeReach({ ...well, probe: blind })).toBe(
      "1 address of a pod; IPv4 by up0; 1 probe packet sent, whether it left is not visible from here, no answer is expected",
    );
    const half = { ...blind, results: [...blind.results, ...probed({}).results] };
    expect(describeReach({ ...well, probe: half })).toContain(
      "2 probe packets sent, 1 seen leaving the node, whether 1 of them left is not visible from here, 1 answered, no answer to 1 is expected",
    );
  });
});
