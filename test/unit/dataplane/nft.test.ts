import { describe, expect, test } from "vitest";
import { maxTargetLength, tableOf } from "../../../plugins/portmap/tables.ts";
import { NftConflict } from "../../../src/dataplane/errors.ts";
import { applyNft } from "../../../src/dataplane/nftables/apply.ts";
import { diffNft } from "../../../src/dataplane/nftables/diff.ts";
import { removeNft, removeNftTables } from "../../../src/dataplane/nftables/remove.ts";
import { NftSession } from "../../../src/dataplane/nftables/session.ts";
import type { NetlinkProtocol, Sys } from "../../../src/host/sys.ts";
import { tableFamilies } from "../../../src/net/address.ts";
import { deleteElements } from "../../../src/netlink/nftables/elements.ts";
import { natOutgoing } from "../../../src/plan/nat-outgoing.ts";
import type { NftElements, NftResource, NftTable } from "../../../src/plan/nft.ts";
import { FakeNft } from "../../lib/fake/nft.ts";
import { nftSys } from "../../lib/fake/nft-sys.ts";

const table: NftTable = {
  kind: "nft-table",
  family: "ip",
  name: "t",
  sets: [{ name: "m", key: ["inet_service"], data: ["ipv4_addr", "inet_service"] }],
  chains: [
    { name: "first", rules: [{ statements: [{ jump: "second" }], comment: "on" }] },
    { name: "second", rules: [{ statements: [{ verdict: "drop" }], comment: "end" }] },
  ],
};

function elements(...ports: readonly number[]): NftElements {
  return {
    kind: "nft-elements",
    family: "ip",
    table: "t",
    set: "m",
    elements: ports.map((port) => ({ key: [String(port)], data: ["10.0.0.1", "80"] })),
  };
}

const owner = "tortie:net/c1/eth0";
const other = "tortie:net/c2/eth0";

describe("applyNft()", () => {
  test("makes what is missing of a table that is there in part", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft([{ ...table, chains: [] }, elements(1)], other, sys);
    applyNft([table, elements(2)], owner, sys);
    // A missing object is noticed where it is used: by CHECK, or by elements that refer to it.
    expect(diffNft([table], owner, sys).map(({ text }) => text)).toEqual([
      "chain ip t first is missing",
      "chain ip t second is missing",
    ]);
  });

  test("writes what a digest covers only into a table that is new or has another digest, and does not compare it", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    const nat = (exclusions: readonly string[]) =>
      natOutgoing([{ cidr: "10.0.0.0/16", nat: true }], { outgoing: { exclusions } });
    const exclude = (text: string) => nft.print().includes(text);
    applyNft(nat(["192.0.2.1"]), owner, sys);
    expect(exclude("192.0.2.1")).toBe(true);
    const gone = { key: Uint8Array.of(192, 0, 2, 1) };
    const session = new NftSession(sys);
    expect(session.commit([deleteElements({ family: "ip", table: "tortie", set: "excluded" }, [gone])])).toEqual([]);
    applyNft(nat(["192.0.2.1"]), owner, sys);
    expect(exclude("192.0.2.1")).toBe(false);
    expect(diffNft(nat(["192.0.2.1"]), owner, sys)).toEqual([]);
    applyNft(nat(["192.0.2.2"]), owner, sys);
    expect(exclude("192.0.2.2")).toBe(true);
  });

  test("splits what one message cannot hold", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    const many = elements(...Array.from({ length: 1500 }, (_, index) => index + 1));
    applyNft([table, many], owner, sys);
    expect(nft.print().match(/10\.0\.0\.1 \. 80/g)).toHaveLength(1500);
    expect(diffNft([table, many], owner, sys)).toEqual([]);
    expect(removeNft([table], owner, sys)).toHaveLength(1500);
    expect(nft.print()).toBe("");
  });

  test("throws a conflict that tells what is there, and changes nothing", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft([table, elements(1)], other, sys);
    const before = nft.print();
    try {
      applyNft([table, elements(2, 1)], owner, sys);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(NftConflict);
      const { holder, data, element } = error as NftConflict;
      expect([holder, data, element.key]).toEqual([other, Uint8Array.of(10, 0, 0, 1, 0, 80, 0, 0), ["1"]]);
    }
    expect(nft.print()).toBe(before);
  });

  test("whose answer got lost finds its own work done", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft([table, elements(9)], other, sys);
    const open = sys.openNetlink("netfilter");
    let lost = 1;
    const forgetful = {
      openNetlink: () => ({
        ...open,
        receive: (timeoutMs: number) => {
          const answer = open.receive(timeoutMs);
          if (lost-- > 0) throw Object.assign(new Error("recv: no buffer space"), { code: "ENOBUFS" });
          return answer;
        },
      }),
    } as unknown as typeof sys;
    applyNft([table, elements(1)], owner, forgetful);
    expect(diffNft([table, elements(1)], owner, sys)).toEqual([]);
  });

  test("says so when the kernel refuses", () => {
    const wrong: NftElements = { ...elements(1), elements: [{ key: ["1"] }] };
    expect(() => applyNft([table, wrong], owner, nftSys(new FakeNft()))).toThrow(
      "cannot apply nf_tables: Invalid argument (EINVAL)",
    );
  });
});

describe("applyNft() names a missing kernel feature at once:", () => {
  const nat = natOutgoing([{ cidr: "10.0.0.0/16", nat: true }]);
  const ports = (family: "ip" | "ip6"): readonly NftResource[] => [
    tableOf(family),
    {
      kind: "nft-elements",
      family,
      table: "tortie_portmap",
      set: "ports",
      elements: [{ key: ["tcp", "80"], data: [family === "ip" ? "10.0.0.5" : "fd00::5", "80"] }],
    },
  ];
  const node = 'make rule "pods leave by the address of the node" of chain ip tortie postrouting';
  const entry = 'make rule "to an address of the host" of chain';

  test.each<[string, readonly NftResource[], string]>([
    ["nf_tables", nat, "use nf_tables: the kernel does not support them; load module nf_tables"],
    [
      "nft_chain_nat",
      nat,
      "make chain ip tortie postrouting: the kernel has no nat chains in nf_tables; load module nft_chain_nat",
    ],
    ["nft_masq", nat, `${node}: the kernel has no masquerading in nf_tables; load module nft_masq`],
    [
      "nft_fib_ipv4",
      ports("ip"),
      `${entry} ip tortie_portmap prerouting: the kernel has no fib lookups in nf_tables; load module nft_fib_ipv4`,
    ],
    [
      "nft_fib_ipv6",
      ports("ip6"),
      `${entry} ip6 tortie_portmap prerouting: the kernel has no fib lookups in nf_tables; load module nft_fib_ipv6`,
    ],
    [
      "nft_nat",
      ports("ip"),
      'make rule "ports of one address" of chain ip tortie_portmap hostports: the kernel has no destination NAT in nf_tables; load module nft_nat',
    ],
    [
      "nft_ct",
      ports("ip"),
      'make rule "a container to itself" of chain ip tortie_portmap masquerading: the kernel has no conntrack matches or masquerading in nf_tables; load module nft_ct nft_masq',
    ],
  ])("%s", (module, resources, message) => {
    const nft = new FakeNft();
    nft.missingModules.add(module);
    expect(() => applyNft(resources, owner, nftSys(nft))).toThrow(`cannot ${message}`);
    expect(nft.print()).toBe("");
    // Two transactions and the lookups after each; the first refers to missing objects.
    expect(nft.datagrams).toBeLessThan(12);
    nft.missingModules.clear();
    applyNft(resources, owner, nftSys(nft));
    expect(diffNft(resources, owner, nftSys(nft))).toEqual([]);
  });

  test("room for an IPv6 address and a port", () => {
    const nft = new FakeNft();
    nft.longestDatum = 16;
    expect(() => applyNft(ports("ip6"), owner, nftSys(nft))).toThrow(
      "cannot add to map ip6 tortie_portmap ports: the kernel accepts at most 16 bytes of data, but an IPv6 address with a port has 20; " +
        "IPv6 host ports need Linux 5.8 or newer",
    );
    expect(nft.print()).toBe("");
    applyNft(ports("ip"), owner, nftSys(nft));
  });
});

test("applyNft() does not mistake a table that comes and goes for a missing kernel feature", () => {
  const nft = new FakeNft();
  const sys = nftSys(nft);
  const nat = natOutgoing([{ cidr: "10.0.0.0/16", nat: true }]);
  applyNft(nat, other, sys);
  const remove = () => removeNftTables([{ family: "ip", name: "tortie" }], () => true, sys);
  nft.flushChain("ip tortie", "postrouting");
  nft.removeChain("ip tortie", "guard");
  nft.removeSet("ip tortie", "nat_pools");
  // The first attempt finds it incomplete; before the second it is removed, before the third it is incomplete again.
  nft.before = () => {
    nft.before = remove;
  };
  applyNft(nat, owner, sys);
  expect(diffNft(nat, owner, sys)).toEqual([]);
});

describe("diffNft()", () => {
  test("passes over attributes that a newer kernel tells of besides", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft([tableOf("ip6"), maxTargetLength], owner, sys);
    nft.addsAttributes = true;
    expect(diffNft([tableOf("ip6"), maxTargetLength], owner, sys)).toEqual([]);
  });
});

describe("applyNft() of shared objects", () => {
  const before = natOutgoing([
    { cidr: "10.0.0.0/16", nat: true },
    { cidr: "10.1.0.0/16", nat: true },
  ]);

  test.each<[string, readonly { readonly cidr: string; readonly nat: boolean }[], string]>([
    ["a pool that came", [{ cidr: "10.2.0.0/16", nat: true }], "10.2.0.0, before 10.3.0.0 | 10.2.0.0, before 10.3.0.0"],
    ["natOutgoing that was switched off", [{ cidr: "10.0.0.0/16", nat: false }], "10.0.0.0, before 10.1.0.0 | "],
    [
      "a pool in the place of those that it overlaps",
      [{ cidr: "10.0.0.0/8", nat: true }],
      "10.0.0.0, before 11.0.0.0 | 10.0.0.0, before 11.0.0.0",
    ],
  ])("follows %s", (_, pools, sets) => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft(before, owner, sys);
    applyNft(natOutgoing(pools), other, sys);
    expect(nft.print().replace(/\n {2}map pools_digest.*\n.*/, "")).toBe(
      [
        "table ip tortie {",
        ...["all_pools # where pods are", "nat_pools # pools with natOutgoing"].flatMap((set, index) => [
          `  set ${set}`,
          ...((sets.split(" | ")[index] || undefined)?.split(", ").sort() ?? []).map((line) => `    ${line}`),
        ]),
        "  chain postrouting: pods leave by the address of the node",
        "  chain guard: 127.0.0.0/8 is for the host alone",
        "}",
      ].join("\n"),
    );
  });

  test.each<[string, readonly { readonly cidr: string; readonly nat: boolean }[]]>([
    ["a pool that came", [{ cidr: "10.2.0.0/16", nat: true }]],
    ["natOutgoing that was switched on", [{ cidr: "10.0.0.0/16", nat: true }]],
    ["a pool that went", []],
  ])("is of other pools since %s: diffNft() does not compare the sets, but chains and rules", (_, changed) => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft(natOutgoing([{ cidr: "10.0.0.0/16", nat: false }]), owner, sys);
    const now = natOutgoing(changed, { guarded: true });
    expect(diffNft(now, other, sys)).toEqual([]);
    nft.flushChain("ip tortie", "guard");
    expect(diffNft(now, other, sys).map(({ text }) => text)).toEqual([
      expect.stringContaining("chain ip tortie guard"),
    ]);
  });

  test("makes good a rule that a hand removed, when it has to look", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft(before, owner, sys);
    const whole = nft.print();
    nft.flushChain("ip tortie", "postrouting");
    nft.removeChain("ip tortie", "guard");
    nft.removeSet("ip tortie", "nat_pools");
    expect(diffNft(before, owner, sys)).not.toEqual([]);
    applyNft(before, other, sys);
    expect(nft.print().split("\n").sort()).toEqual(whole.split("\n").sort());
  });
});

describe("removeNft()", () => {
  test("removes the rest when a hand removed an element", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft([table, elements(1, 2)], owner, sys);
    nft.removeElement("ip t", "m", "0,1");
    removeNft([table], owner, sys);
    expect(nft.print()).toBe("");
  });
});

describe("removeNftTables()", () => {
  const tables = natOutgoing([{ cidr: "10.0.0.0/16", nat: true }]);

  test("leaves a table that is in use", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft(tables, owner, sys);
    expect(removeNftTables([{ family: "ip", name: "tortie" }], () => false, sys)).toBe(false);
    expect(nft.print()).not.toBe("");
    expect(removeNftTables([{ family: "ip", name: "tortie" }], () => true, sys)).toBe(true);
    expect(nft.print()).toBe("");
    expect(removeNftTables([{ family: "ip", name: "tortie" }], () => true, sys)).toBe(true);
  });

  test("has one socket, which stays open once a table was deleted: to close any would take 12 ms", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    const both = tableFamilies.map((family) => ({ family, name: "tortie" }));
    let [opened, closed] = [0, 0];
    const counted = {
      openNetlink: (protocol: NetlinkProtocol) => {
        opened++;
        return { ...sys.openNetlink(protocol), close: () => void closed++ };
      },
    } as Partial<Sys> as Sys;
    const remove = () => {
      [opened, closed] = [0, 0];
      expect(removeNftTables(both, () => true, counted)).toBe(true);
      expect(nft.print()).toBe("");
      return { opened, closed };
    };
    for (const cidrs of [["10.0.0.0/16"], ["10.0.0.0/16", "fd00::/64"]]) {
      applyNft(natOutgoing(cidrs.map((cidr) => ({ cidr, nat: true }))), owner, sys);
      expect(remove()).toEqual({ opened: 1, closed: 0 });
    }
    expect(remove()).toEqual({ opened: 1, closed: 1 });
  });

  test("asks again when anything has changed since it asked", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft(tables, owner, sys);
    const answers = [true, false];
    nft.before = () => void applyNft([table, elements(1)], other, sys);
    expect(removeNftTables([{ family: "ip", name: "tortie" }], () => answers.shift() ?? false, sys)).toBe(false);
    expect(nft.print()).toContain("table ip tortie ");
    expect(answers).toEqual([]);
  });
});

describe("natOutgoing()", () => {
  const pools = [
    { cidr: "10.0.0.0/16", nat: true },
    { cidr: "192.168.0.0/26", nat: false },
    { cidr: "fd00::/64", nat: true },
  ];

  test("has one table per family, and pools that any number of pods share", () => {
    const nft = new FakeNft();
    const sys = nftSys(nft);
    applyNft(natOutgoing(pools), owner, sys);
    expect(nft.rolledBack).toBe(0);
    const before = nft.print();
    expect(before).toBe(`table ip tortie {
  set all_pools # where pods are
    10.0.0.0
    192.168.0.0
    before 10.1.0.0
    before 192.168.0.64
  set nat_pools # pools with natOutgoing
    10.0.0.0
    before 10.1.0.0
  map pools_digest # of the pools in these sets
    1 : 1487631279
  chain postrouting: pods leave by the address of the node
  chain guard: 127.0.0.0/8 is for the host alone
}
table ip6 tortie {
  set all_pools # where pods are
    before fd00:0:0:1::
    fd00::
  set nat_pools # pools with natOutgoing
    before fd00:0:0:1::
    fd00::
  map pools_digest # of the pools in these sets
    1 : 1200304439
  chain postrouting: pods leave by the address of the node
}`);
    nft.datagrams = 0;
    const again = applyNft(natOutgoing(pools), other, sys);
    expect(nft.datagrams).toBe(2);
    again.undo();
    expect(nft.print()).toBe(before);
    expect(diffNft(natOutgoing(pools), owner, sys)).toEqual([]);
  });

  test.each<[string, readonly NftResource[]]>([["no pools", natOutgoing([])]])("is nothing for %s", (_, resources) => {
    expect(resources).toEqual([]);
  });
});
