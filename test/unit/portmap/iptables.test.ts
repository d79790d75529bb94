import { describe, expect, test } from "vitest";
import { parseConf } from "../../../plugins/portmap/conf.ts";
import { foreignTo, holdersFor, withConflictMessage } from "../../../plugins/portmap/iptables.ts";
import { layout, ownChainOf, rulesOf } from "../../../plugins/portmap/iptables-rules.ts";
import { removableChains } from "../../../src/dataplane/iptables/claims.ts";
import { parseSaved } from "../../../src/dataplane/iptables/programs.ts";
import type { Attachment } from "../../../src/identity/attachment.ts";
import { addLines, entriesIn, removeLines } from "../../../src/plan/iptables.ts";
import { FakeIptables } from "../../lib/fake/iptables.ts";
import { FakeNft } from "../../lib/fake/nft.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";
import { c1, c2, dns, document, portmapOn, resultOf, web } from "./world.ts";

const target = { family: "ip", address: "10.9.0.2", subnet: "10.9.0.2/24" } as const;
const target6 = { family: "ip6", address: "2001:db8::2", subnet: "2001:db8::2/64" } as const;
const empty = parseSaved("");
const hasEnded = () => false;
const ports = [web, dns, { hostPort: 8443, containerPort: 443, protocol: "tcp", hostIP: "192.0.2.1" }];
const conf = (extra: object = {}) => parseConf(document(ports, { backend: "iptables", ...extra }));

describe("ownChainOf()", () => {
  const id =
    "icee6giejonei6sohng6ahngee7laquohquee9shiGo7fohferakah3Feiyoolu2pei7ciPhoh7shaoX6vai3vuf0ahfaeng8yohb9ceu0daez5hashee8ooYai5wa3y";
  test.each([
    ["net1", "c1", "CNI-DN-c2d892b58e87e28a12fe6"],
    ["testNetName", id, "CNI-DN-bfd599665540dd91d5d28"],
    ["test", id, "CNI-DN-67e92b96e692a494b6b85"],
  ])("of eth0 in %s is the reference plugin's", (network, containerId, chain) => {
    expect(ownChainOf({ network, containerId, ifname: "eth0" })).toBe(chain);
  });

  test("tells the interfaces of a container apart", () => {
    expect(ownChainOf({ ...c1, ifname: "net1" })).not.toBe(ownChainOf(c1));
  });
});

test("addLines() creates chains and rules", () => {
  expect(addLines(rulesOf(c1, conf(), target), empty, []).join("\n")).toBe(`*nat
:CNI-HOSTPORT-DNAT - [0:0]
:CNI-HOSTPORT-SETMARK - [0:0]
:CNI-HOSTPORT-MASQ - [0:0]
:CNI-DN-c2d892b58e87e28a12fe6 - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-I POSTROUTING 1 -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A CNI-DN-c2d892b58e87e28a12fe6 -s 10.9.0.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-c2d892b58e87e28a12fe6 -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-c2d892b58e87e28a12fe6 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.9.0.2:80
-A CNI-DN-c2d892b58e87e28a12fe6 -s 10.9.0.0/24 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-c2d892b58e87e28a12fe6 -s 127.0.0.1/32 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-c2d892b58e87e28a12fe6 -p udp -m udp --dport 5353 -j DNAT --to-destination 10.9.0.2:53
-A CNI-DN-c2d892b58e87e28a12fe6 -s 10.9.0.0/24 -d 192.0.2.1/32 -p tcp -m tcp --dport 8443 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-c2d892b58e87e28a12fe6 -s 127.0.0.1/32 -d 192.0.2.1/32 -p tcp -m tcp --dport 8443 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-c2d892b58e87e28a12fe6 -d 192.0.2.1/32 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 10.9.0.2:443
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net1\\" id: \\"c1\\"" -m multiport --dports 8080,8443 -j CNI-DN-c2d892b58e87e28a12fe6
-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"net1\\" id: \\"c1\\"" -m multiport --dports 5353 -j CNI-DN-c2d892b58e87e28a12fe6
COMMIT
*raw
-A PREROUTING -d 127.0.0.0/8 ! -i lo -m comment --comment "127.0.0.0/8 is for the host alone" -j DROP
COMMIT`);
});

test("addLines() without snat, for IPv6", () => {
  expect(
    addLines(rulesOf(c1, conf({ snat: false }), target6), empty, []).filter((line) => line.includes("CNI-DN")),
  ).toEqual([
    ":CNI-DN-c2d892b58e87e28a12fe6 - [0:0]",
    "-A CNI-DN-c2d892b58e87e28a12fe6 -p tcp -m tcp --dport 8080 -j DNAT --to-destination [2001:db8::2]:80",
    "-A CNI-DN-c2d892b58e87e28a12fe6 -p udp -m udp --dport 5353 -j DNAT --to-destination [2001:db8::2]:53",
    '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"net1\\" id: \\"c1\\"" -m multiport --dports 8080 -j CNI-DN-c2d892b58e87e28a12fe6',
    '-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"net1\\" id: \\"c1\\"" -m multiport --dports 5353 -j CNI-DN-c2d892b58e87e28a12fe6',
  ]);
});

test("rulesOf() puts 15 ports into an entry", () => {
  const many = Array.from({ length: 40 }, (_, index) => ({ ...web, hostPort: 1000 + index }));
  const { entries } = rulesOf(c1, parseConf(document(many, { backend: "iptables" })), target);
  expect(entries.map((entry) => (/--dports (\S+)/.exec(entry)?.[1] ?? "").split(",").length)).toEqual([15, 15, 10]);
});

test("rulesOf() marks with a foreign chain, for every client", () => {
  const { own, shared } = rulesOf(c1, conf({ externalSetMarkChain: "KUBE-MARK-MASQ", masqAll: true }), target);
  expect(own[0]).toBe("-A CNI-DN-c2d892b58e87e28a12fe6 -p tcp -m tcp --dport 8080 -j KUBE-MARK-MASQ");
  expect(shared.join()).not.toContain("CNI-HOSTPORT-MASQ");
});

test("rulesOf() rejects a condition that contains a newline", () => {
  expect(() => rulesOf(c1, conf({ conditionsV4: ["-s", "1.2.3.4\nCOMMIT"] }), target)).toThrow(
    "it contains a line break",
  );
});

describe("portmap: on tables that hold one attachment", () => {
  const lines = addLines(rulesOf(c1, conf(), target), empty, []);
  const saved = parseSaved(lines.map((line) => line.replace("-I POSTROUTING 1", "-A POSTROUTING")).join("\n"));

  test("addLines() of the same takes its entries out first and adds nothing shared", () => {
    const again = addLines(rulesOf(c1, conf(), target), saved, []);
    expect(again.filter((line) => line.startsWith(":"))).toEqual([":CNI-DN-c2d892b58e87e28a12fe6 - [0:0]"]);
    expect(again.filter((line) => line.startsWith("-D CNI-HOSTPORT-DNAT "))).toHaveLength(2);
    expect(again.filter((line) => /^-[AI] (PREROUTING|OUTPUT|POSTROUTING|CNI-HOSTPORT-MASQ)/.test(line))).toEqual([]);
    expect(again).not.toContain("*raw");
  });

  test("foreignTo() tells attachments apart whose network and container ID, joined, read alike", () => {
    const alike = { network: "net", containerId: "1c1", ifname: "eth0" };
    expect(ownChainOf(alike)).toBe(ownChainOf(c1));
    const [entry] = entriesIn(layout, saved.nat);
    expect([foreignTo(c1)(entry?.rule ?? ""), foreignTo(alike)(entry?.rule ?? "")]).toEqual([false, true]);
  });

  test("foreignTo() knows the own chain by a comment that was cut", () => {
    const long = { ...c1, containerId: "c".repeat(300) };
    const { entries } = rulesOf(long, conf(), target);
    expect(entries.map(foreignTo(long))).toEqual([false, false]);
  });

  const webAlone = parseConf(document([web], { backend: "iptables" }));
  const elsewhere = { ...target, address: "10.9.0.3" };
  const stale = (attachment: Attachment, at = elsewhere, ended: (other: Attachment) => boolean = hasEnded) =>
    withConflictMessage(() =>
      removableChains(saved.nat, rulesOf(attachment, webAlone, at), holdersFor({ attachment, hasEnded: ended })),
    );

  test("staleChains() names who has the port", () => {
    expect(() => stale(c2)).toThrow(
      'cannot map host port 8080/tcp: it is taken by container "c1" (network "net1", interface "eth0")',
    );
    expect(stale(c1)).toEqual([]);
  });

  test("staleChains() lets another network of the same container have it behind the first", () => {
    expect(stale({ ...c1, network: "net2" })).toEqual([]);
  });

  test("staleChains() gives up what belongs to an attachment that has ended", () => {
    const asked: Attachment[] = [];
    expect(stale(c2, elsewhere, (other) => asked.push(other) > 0)).toEqual([ownChainOf(c1)]);
    expect(asked).toEqual([c1]);
  });

  test("staleChains() gives up what leads to the container's own address", () => {
    expect(stale(c2, target)).toEqual([ownChainOf(c1)]);
  });

  test("removeLines() of the last takes everything shared with it", () => {
    expect(removeLines(layout, [ownChainOf(c1)], saved).join("\n")).toBe(`*nat
-D PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-D OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-D POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
COMMIT
*raw
-D PREROUTING -d 127.0.0.0/8 ! -i lo -m comment --comment "127.0.0.0/8 is for the host alone" -j DROP
COMMIT
*nat
-F CNI-HOSTPORT-DNAT
-F CNI-HOSTPORT-MASQ
-F CNI-HOSTPORT-SETMARK
-F CNI-DN-c2d892b58e87e28a12fe6
-X CNI-HOSTPORT-DNAT
-X CNI-HOSTPORT-MASQ
-X CNI-HOSTPORT-SETMARK
-X CNI-DN-c2d892b58e87e28a12fe6
COMMIT`);
  });

  test("removeLines() of one of two takes only what is its own", () => {
    const other = rulesOf(c2, parseConf(document([{ ...web, hostPort: 1 }], { backend: "iptables" })), target);
    const two = { ...saved, nat: [...saved.nat, `:${other.chain} - [0:0]`, ...other.own, ...other.entries] };
    const removed = removeLines(layout, [ownChainOf(c1)], two);
    expect(
      removed.filter((line) => line.startsWith("-D")).every((line) => line.startsWith("-D CNI-HOSTPORT-DNAT")),
    ).toBe(true);
    expect(removed).not.toContain("-X CNI-HOSTPORT-DNAT");
  });
});

describe("portmap: on a node", () => {
  const machine = () => {
    const made = new FakeMachine();
    const iptables = new FakeIptables(made);
    made.files.makeDirs("/run/tortie/endpoints", 0o755);
    made.kernel.host.addLink({ name: "cali1", kind: "veth", mac: "ee:ee:ee:ee:ee:ee", mtu: 1500 });
    const nft = new FakeNft();
    made.netfilter = () => nft;
    return { iptables, nft, plugin: portmapOn(new FakeSys({ machine: made })) };
  };
  const byIptables = { backend: "iptables" };
  const result = resultOf("10.9.0.2/24", "2001:db8::2/64");
  const remark = (table: string) => `# Table \`${table}' is incompatible, use 'nft' tool.\n`;

  test.each(["nat", "raw"])(
    "whose table %s iptables cannot read: ADD, CHECK and DEL say so, and later DEL succeeds",
    (table) => {
      const { iptables, plugin } = machine();
      const words = `cannot read table ${table} of iptables: it contains nft rules that iptables does not understand`;
      const before = iptables.print("ip");
      iptables.unreadable.set(`ip ${table}`, remark(table));
      expect(() => plugin.add(c1, [web], result, byIptables)).toThrow(words);
      iptables.unreadable.clear();
      expect(iptables.print("ip")).toBe(before);
      plugin.add(c1, [web], result, byIptables);
      iptables.unreadable.set(`ip ${table}`, remark(table));
      expect(() => plugin.check(c1, [web], result, byIptables)).toThrow(words);
      expect(() => plugin.del(c1, byIptables)).toThrow(words);
      expect(() => plugin.gc("net1", [])).toThrow(words);
      iptables.unreadable.clear();
      plugin.del(c1, byIptables);
      expect(iptables.print("ip")).toBe(before);
    },
  );

  test("whose table raw of IPv6, or another table, iptables cannot read works: nothing of it is asked for", () => {
    const { iptables, plugin } = machine();
    iptables.unreadable.set("ip6 raw", `${remark("raw")}${remark("filter")}`);
    plugin.add(c1, [web], result, byIptables);
    plugin.check(c1, [web], result, byIptables);
    plugin.del(c1, byIptables);
    expect(iptables.print("ip6")).not.toContain("CNI-");
  });

  test("that called another kind of program iptables when the rules were made: DEL finds them by that kind", () => {
    const made = new FakeMachine();
    const legacy = new FakeIptables(made, "-legacy");
    const plain = new FakeIptables(made);
    made.files.makeDirs("/run/tortie/endpoints", 0o755);
    const plugin = portmapOn(new FakeSys({ machine: made }));
    const lines = addLines(rulesOf(c1, conf(), target), empty, []);
    const raw = lines.indexOf("*raw");
    legacy.run("ip", "nat", ...lines.slice(1, raw - 1));
    legacy.run("ip", "raw", ...lines.slice(raw + 1, -1));
    const before = plain.print("ip");
    plugin.del(c1, byIptables);
    expect([legacy.print("ip"), plain.print("ip")]).toEqual([before, before]);
  });

  test("on which no program shows a chain that is there: DEL says so", () => {
    const { nft, plugin } = machine();
    nft.addChain("ip", "nat", ownChainOf(c1));
    expect(() => plugin.del(c1, byIptables)).toThrow(
      `cannot remove chain ${ownChainOf(c1)}: no iptables of this node can show it ("nft list chain ip nat ${ownChainOf(c1)}"); install iptables-nft`,
    );
  });
});
