/** `tortie-net` over many plans: the kernel holds exactly the last one, whatever came before it, and whenever a process was killed. */
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { buildExecutable } from "../../scripts/build/executable.ts";
import { encodeLine } from "../../src/net-protocol/messages.ts";
import type { NodePlan, NodeResource } from "../../src/plan/node-plan.ts";
import { howMany } from "../lib/how-many.ts";
import { Node, nodeAddress4, systemPath } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { applyPlan, device, macOf, NetServer, ownDevice, peer, scopes } from "../lib/node/tortie-net.ts";
import { randomOf, seed } from "../lib/random.ts";
import { requireBuild, root } from "../lib/suite.ts";

const at = "host";
const uplink = "uplink";
const table: NodeResource = {
  ...{ kind: "nft-table", family: "ip", name: "tortie_t" },
  ...{ sets: [{ name: "nodes", key: ["ipv4_addr"] }], chains: [] },
};
const allScopes = [
  ...scopes,
  { kind: "elements", family: "ip", table: "tortie_t", set: "nodes" } as const,
  { kind: "table", family: "ip", name: "tortie_t" } as const,
];

/** A program that is killed at a step. */
const directory = join(root, "build/test-bin-net-faults/bin");
const faulty = `
  import { quickjsSys } from "./src/host/quickjs.ts";
  import { runTortieNet } from "./src/tortie-net/main.ts";
  import { parseFault } from "./test/lib/faults/fault.ts";
  import { faultySys } from "./test/lib/faults/faulty-sys.ts";
  export function main() {
    const setting = quickjsSys.environment().TORTIE_FAULT;
    const steps = [];
    const exit = (status) => {
      if (setting === "trace") quickjsSys.write("stderr", String(steps.length));
      return quickjsSys.exit(status);
    };
    const faults = setting === "trace" ? [] : [parseFault(setting)];
    const die = () => quickjsSys.exit(137);
    runTortieNet({ ...faultySys(quickjsSys, { faults, die, onStep: (step) => steps.push(step) }), exit });
  }
`;

beforeAll(requireBuild);
beforeAll(async () => {
  await buildExecutable({
    programs: { "tortie-net": faulty },
    workDirectory: join(root, "build/net-faults"),
    targetDirectory: directory,
    define: { TORTIE_VERSION: '"0"', TORTIE_COMMIT: '"test"', TORTIE_ENGINE: '"quickjs"' },
  });
});

/** A random node: with or without its device, with some of five peers, each with one of two addresses and by one of two ways. */
function randomPlan(random: ReturnType<typeof randomOf>): NodePlan {
  const own = ownDevice(1, uplink, nodeAddress4).map((one) =>
    one.kind === "vxlan" ? { ...one, vni: 4096 + random.below(2), mtu: 1300 + 50 * random.below(3) } : one,
  );
  if (random.chance(0.1)) return { resources: [], scopes: allScopes };
  const numbers = [2, 3, 4, 5, 6].filter(() => random.chance(0.6));
  const peers = numbers.flatMap((number) => {
    const destination = `203.0.113.${number * 10 + random.below(2)}`;
    const all = peer(number, destination);
    const block = `10.65.${number}.0/26`;
    const direct: NodeResource = {
      ...{ kind: "route", at, link: uplink, destination: block, gateway: destination, onlink: true, protocol: 80 },
    };
    const ways: readonly (readonly NodeResource[])[] = [
      all,
      [...all.slice(0, 2), direct],
      [...all, { kind: "blackhole", at, destination: `10.66.${number}.0/26`, protocol: 80 }],
    ];
    return random.pick(ways);
  });
  const elements = numbers.map((number) => ({ key: [`203.0.113.${number}`] }));
  const set: NodeResource = { kind: "nft-elements", family: "ip", table: "tortie_t", set: "nodes", elements };
  return { resources: [...own, ...peers, ...(random.chance(0.8) ? [table, set] : [])], scopes: allScopes };
}

/** What the kernel holds after a plan on a node without anything of ours. */
function freshState(node: Node, plan: NodePlan): string {
  applyPlan(node, { resources: [], scopes: allScopes });
  expect(applyPlan(node, plan).failures).toEqual([]);
  return snapshot(node);
}

/** Objects of other programs next to each of ours. */
const foreign = `
  ip route add 10.65.2.0/24 via 203.0.113.2
  ip route add 10.65.2.0/26 via 203.0.113.2 metric 77
  ip route add 10.65.7.0/26 via 203.0.113.2 proto bird
  ip route add blackhole 10.65.8.0/26 proto 81
  ip route add 10.65.2.0/26 via 203.0.113.2 table 77 proto 80
  ip -6 route add fd65::/64 via fe80::2 dev uplink
  ip neighbour add 203.0.113.99 lladdr ${macOf(99)} dev uplink nud permanent
  ip link add vxlan77 type vxlan id 77 dev uplink dstport 4789 local 203.0.113.1
  bridge fdb add ${macOf(2)} dev vxlan77 dst 203.0.113.66
  nft 'add table ip foreign; add set ip foreign nodes { type ipv4_addr; elements = { 203.0.113.2 }; }'`;

test(`any plan after any other, with a seed of ${seed}`, { timeout: 300_000 }, async () => {
  const node = await Node.start("node");
  try {
    const random = randomOf(seed);
    node.sh(foreign);
    const empty = snapshot(node);
    let former: NodePlan = { resources: [], scopes: allScopes };
    for (let round = 0; round < howMany(60); round++) {
      const plan = randomPlan(random);
      const wanted = freshState(node, plan);
      applyPlan(node, former);
      expect(applyPlan(node, plan).failures).toEqual([]);
      expect(diff(wanted, snapshot(node)), `round ${round}`).toBe("");
      expect(applyPlan(node, plan)).toMatchObject({ applied: 0, removed: [] });
      former = plan;
    }
    applyPlan(node, { resources: [], scopes: allScopes });
    expect(diff(empty, snapshot(node))).toBe("");
  } finally {
    await node.stop();
  }
});

test(`changes lead to the same as whole plans, with a seed of ${seed}`, { timeout: 300_000 }, async () => {
  const node = await Node.start("node");
  try {
    const random = randomOf(seed);
    node.sh(foreign);
    let former: NodePlan = { resources: [], scopes: allScopes };
    for (let round = 0; round < howMany(40); round++) {
      const plan = randomPlan(random);
      const wanted = freshState(node, plan);
      applyPlan(node, former);
      const server = new NetServer(node);
      await server.ask({ plan: former });
      const remove = former.resources.filter((one) => !plan.resources.some((other) => isSameObject(one, other)));
      expect(await server.ask({ add: plan.resources, remove })).toMatchObject({ failures: [] });
      expect(await server.end()).toBe(0);
      expect(diff(wanted, snapshot(node)), `round ${round}`).toBe("");
      former = plan;
    }
  } finally {
    await node.stop();
  }
});

/** By the names and keys, as the agent finds what changed. */
function isSameObject(one: NodeResource, other: NodeResource): boolean {
  const key = (resource: NodeResource) => {
    switch (resource.kind) {
      case "neighbour":
        return `neighbour ${resource.address}`;
      case "fdb":
        return `fdb ${resource.mac}`;
      case "route":
      case "blackhole":
        return resource.destination;
      case "nft-table":
      case "vxlan":
        return resource.name;
      case "nft-elements":
        return resource.set;
      default:
        return JSON.stringify(resource);
    }
  };
  return key(one) === key(other);
}

test("killed at any step, and run again", { timeout: 300_000 }, async () => {
  const node = await Node.start("node");
  try {
    const before: NodePlan = {
      resources: [...ownDevice(1, uplink, nodeAddress4), ...peer(2, "203.0.113.20"), ...peer(3, "203.0.113.30"), table],
      scopes: allScopes,
    };
    const elements = [{ key: ["203.0.113.4"] }];
    const set: NodeResource = { kind: "nft-elements", family: "ip", table: "tortie_t", set: "nodes", elements };
    const after: NodePlan = {
      resources: [
        ...ownDevice(1, uplink, nodeAddress4).map((one) => (one.kind === "vxlan" ? { ...one, vni: 4097 } : one)),
        ...[...peer(2, "203.0.113.21"), ...peer(4, "203.0.113.40"), table, set],
        { kind: "sysctl", at, path: "net/ipv4/ip_forward", value: "1" },
      ],
      scopes: allScopes,
    };
    const run = (fault: string) => {
      const env = { PATH: systemPath, TORTIE_FAULT: fault };
      return node.run([join(directory, "tortie-net"), "apply"], {
        stdin: encodeLine({ version: 1, plan: after }),
        env,
      });
    };
    const wanted = freshState(node, after);
    applyPlan(node, before);
    const steps = Number(run("trace").stderr);
    expect(steps).toBeGreaterThan(20);
    expect(diff(wanted, snapshot(node))).toBe("");
    const every = Math.ceil(steps / howMany(steps));
    for (let step = 1; step <= steps; step += every) {
      for (const when of ["before", "after"]) {
        applyPlan(node, before);
        expect(run(`${step}:${when}`).status, `${step}:${when}`).toBe(137);
        expect(applyPlan(node, after).failures).toEqual([]);
        expect(diff(wanted, snapshot(node)), `${step}:${when}`).toBe("");
      }
    }
    expect(snapshot(node)).toContain(device);
  } finally {
    await node.stop();
  }
});
