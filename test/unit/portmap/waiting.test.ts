/** A container in several networks that requests the same host ports in each: they pass from one to the next and are lost at no step. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FakeNft } from "../../lib/fake/nft.ts";
import { nftSys } from "../../lib/fake/nft-sys.ts";
import { type Fault, killsOf, type Step } from "../../lib/faults/fault.ts";
import { faultySys } from "../../lib/faults/faulty-sys.ts";
import { howMany, someOf } from "../../lib/how-many.ts";
import { c1, c2, dns, type Port, portmapOn, resultOf, web } from "./world.ts";

const networks = [0, 1, 2].map((number) => ({ ...c1, network: `net${number}` }));
const [first, second, third] = networks as [typeof c1, typeof c1, typeof c1];
const addresses = networks.map((_, number) => resultOf(`10.0.0.${number + 10}/32`, `fd00::${number + 10}/128`));
const ports: readonly Port[] = [
  web,
  dns,
  { ...web, hostPort: 8443, hostIP: "192.0.2.1" },
  { ...web, hostIP: "2001:db8::1", hostPort: 1 },
];
/** Only the ports of the second network, in IPv4. */
const conditionsOf = (attachment: typeof c1): object =>
  attachment === second ? { conditionsV4: ["ip", "saddr", "!=", "192.0.2.9"] } : {};

function world() {
  const nft = new FakeNft();
  const sys = nftSys(nft);
  return { nft, sys, plugin: portmapOn(sys) };
}

type Plugin = ReturnType<typeof portmapOn>;

function add(plugin: Plugin, attachment: typeof c1, wanted = ports): void {
  plugin.add(attachment, wanted, addresses[networks.indexOf(attachment)] as never, conditionsOf(attachment));
}

function check(plugin: Plugin, attachment: typeof c1, wanted = ports): void {
  plugin.check(attachment, wanted, addresses[networks.indexOf(attachment)] as never, conditionsOf(attachment));
}

/** The holder of each key of the maps, in both families, by network. */
function holders(nft: FakeNft): readonly string[] {
  const text = nft.print();
  return [...text.matchAll(/^ {2}map (\w*ports)\n((?: {4}.*\n)*)/gm)].flatMap(([, map = "", elements = ""]) =>
    map.startsWith("waiting")
      ? []
      : [...elements.matchAll(/^ {4}(.*) comment "tortie:net(\d)/gm)].map(
          ([, key, network]) => `${map} ${key} ${network}`,
        ),
  );
}

test("portmap: a shared host port moves to the next network with everything that this network requested, in both families", () => {
  const { nft, plugin } = world();
  for (const one of networks) add(plugin, one);
  for (const one of networks) check(plugin, one);
  plugin.del(first);
  const held = holders(nft);
  expect(held).toHaveLength(6);
  const conditions = /map conditions\n {4}tcp \. 8080 comment "tortie:net1\/c1\/eth0" : jump/;
  if (held[0]?.endsWith("1")) expect(nft.print()).toMatch(conditions);
  else expect(nft.print()).not.toContain("map conditions");
  check(plugin, second);
  check(plugin, third);
  plugin.del(second);
  expect(holders(nft).every((one) => one.endsWith("2"))).toBe(true);
  check(plugin, third);
  plugin.del(third);
  expect(nft.print()).toBe("");
});

test.each([
  ["the one that waits", [second, first]],
  ["the one that has them", [first, second]],
])("portmap: a shared host port leaves nothing when %s goes first", (_, order) => {
  const { nft, plugin } = world();
  add(plugin, first);
  add(plugin, second);
  for (const one of order) plugin.del(one);
  expect(nft.print()).toBe("");
});

test("portmap: a shared host port moves on when its holder requests other ports, and when GC removes the holder", () => {
  const { nft, plugin } = world();
  add(plugin, first);
  add(plugin, second);
  add(plugin, third);
  add(plugin, first, [dns]);
  expect(nft.print()).toMatch(/map ports\n {4}tcp \. 8080 comment "tortie:net[12]/);
  plugin.gc("net0", []);
  plugin.gc("net1", []);
  check(plugin, third);
  plugin.gc("net2", []);
  expect(nft.print()).toBe("");
});

test("portmap ADD repeated for a waiting attachment, and for one that no longer waits, changes nothing", () => {
  const { nft, plugin } = world();
  add(plugin, first);
  add(plugin, second);
  const waiting = nft.print();
  add(plugin, second);
  expect(nft.print()).toBe(waiting);
  plugin.del(first);
  const moved = nft.print();
  add(plugin, second);
  expect(nft.print()).toBe(moved);
  plugin.takeBack();
  expect(nft.print()).toBe(moved);
});

test("portmap: a port that a network waits for cannot go to another container", () => {
  const { plugin } = world();
  add(plugin, first);
  add(plugin, second);
  plugin.del(first);
  expect(() => plugin.add(c2, [web], resultOf("10.0.0.9/32"))).toThrow('it is taken by container "c1" (network "net1"');
});

test("portmap CHECK reports an attachment that waits although the port is free", () => {
  const { nft, plugin } = world();
  add(plugin, first, [web]);
  add(plugin, second, [web]);
  const bytes = [6, 0, 0, 0, 8080 >> 8, 8080 & 255, 0, 0].join();
  nft.removeElement("ip tortie_portmap", "ports", bytes);
  expect(() => check(plugin, second, [web])).toThrow("element { tcp . 8080 } of ip tortie_portmap ports is missing");
  add(plugin, second, [web]);
  check(plugin, second, [web]);
});

describe("portmap: a race", () => {
  test("of the DEL that lets go with the ADD that begins to wait loses nothing, whichever transaction is first", () => {
    for (let turn = 0; turn < 6; turn++) {
      const { nft, sys, plugin } = world();
      const rival = portmapOn(sys);
      add(plugin, first);
      let count = 0;
      const wait = (): void => {
        nft.before = count++ === turn ? () => add(rival, second) : wait;
      };
      nft.before = turn === 0 ? () => add(rival, second) : wait;
      plugin.del(first);
      nft.before = undefined;
      if (!nft.print().includes("net1")) add(rival, second);
      expect(holders(nft).every((one) => one.endsWith("1"))).toBe(true);
      expect(holders(nft)).toHaveLength(6);
      plugin.del(second);
      expect(nft.print()).toBe("");
    }
  });

  test("of both DELs leaves nothing, whichever transaction is first", () => {
    for (const [one, other] of [
      [first, second],
      [second, first],
    ] as const) {
      const { nft, sys, plugin } = world();
      add(plugin, first);
      add(plugin, second);
      nft.before = () => portmapOn(sys).del(other);
      plugin.del(one);
      expect(nft.print()).toBe("");
    }
  });
});

describe("portmap: killed at any step", () => {
  type Operation = readonly [name: string, begin: readonly (typeof c1)[], run: (plugin: Plugin) => void];
  const operations: readonly Operation[] = [
    ["DEL of the one that has them", [first, second, third], (plugin) => plugin.del(first)],
    ["DEL of one that waits", [first, second, third], (plugin) => plugin.del(second)],
    ["ADD of one that waits", [first], (plugin) => add(plugin, second)],
    ["GC of the one that has them", [first, second], (plugin) => plugin.gc("net0", [])],
    [
      "ADD of the one that has them, with others",
      [first, second],
      (plugin) => add(plugin, first, [{ ...web, hostPort: 99 }]),
    ],
  ];

  test.each(operations)("%s loses nothing: the ports are served, and the same again completes it", (_, begin, run) => {
    const stepsTaken: Step[] = [];
    const judge = (fault: Fault | undefined): void => {
      const { nft, sys, plugin } = world();
      for (const one of begin) add(plugin, one);
      const before = holders(nft);
      const faults = fault === undefined ? [] : [fault];
      const die = (): never => {
        throw new Error("killed");
      };
      const onStep = (step: Step) => void (fault === undefined && stepsTaken.push(step));
      try {
        run(portmapOn(faultySys(sys, { faults, die, onStep })));
      } catch (error) {
        if (!(error as Error).message.includes("killed")) throw error;
      }
      // Through any network: the ports are the same.
      const keys = (list: readonly string[]) =>
        list
          .map((one) => one.slice(0, -2))
          .filter((key) => !/99$/.test(key))
          .sort();
      expect(keys(holders(nft))).toEqual(keys(before));
      run(plugin);
      expect(keys(holders(nft))).toEqual(keys(before));
      for (const one of networks) plugin.del(one);
      plugin.gc("net0", []);
      expect(nft.print()).toBe("");
    };
    judge(undefined);
    expect(stepsTaken.length).toBeGreaterThan(5);
    // Operations of the others change nothing.
    const sends = [...stepsTaken.entries()].filter(([, { call }]) => call === "send");
    for (const [at, step] of someOf(sends, 3)) for (const kill of killsOf(step)) judge({ step: at + 1, kill });
  });
});

test("portmap: after any sequence every requested port is mapped for one requester, CHECK passes for all, and nothing stays", () => {
  const step = fc.record({
    op: fc.constantFrom("add", "add", "del", "gc"),
    who: fc.integer({ min: 0, max: 2 }),
    ports: fc.uniqueArray(fc.integer({ min: 0, max: ports.length - 1 }), { minLength: 1 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
      const { nft, plugin } = world();
      const has = new Map<number, readonly Port[]>();
      for (const { op, who, ports: chosen } of steps) {
        const attachment = networks[who] as typeof c1;
        if (op === "add") {
          const wanted = chosen.map((index) => ports[index] as Port);
          add(plugin, attachment, wanted);
          has.set(who, wanted);
        } else {
          if (op === "del") plugin.del(attachment);
          else plugin.gc(attachment.network, []);
          has.delete(who);
        }
        const wanted = new Set([...has.values()].flat().map(keyOf));
        const held = holders(nft);
        const inFamilies = (key: string) => (key.startsWith("ports") ? [key, key] : [key]);
        expect(held.map((one) => one.slice(0, -2)).sort()).toEqual([...wanted].flatMap(inFamilies).sort());
        for (const one of held) expect((has.get(Number(one.at(-1))) ?? []).map(keyOf)).toContain(one.slice(0, -2));
        for (const [one, mappings] of has) check(plugin, networks[one] as typeof c1, mappings);
      }
      for (const one of networks) plugin.del(one);
      expect(nft.print()).toBe("");
    }),
    { numRuns: howMany(40) },
  );
});

/** The key of a mapping in the maps, with its map. */
function keyOf({ hostIP, protocol, hostPort }: Port): string {
  return hostIP === undefined
    ? `ports ${protocol} . ${hostPort}`
    : `hostip_ports ${hostIP} . ${protocol} . ${hostPort}`;
}
