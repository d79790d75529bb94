/** The executor on the real kernel with existing objects: repeated, foreign, incomplete. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { buildExecutable } from "../../scripts/build/executable.ts";
import type { Plan } from "../../src/plan/resource.ts";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import type { DataplaneAnswer, DataplaneJob, DataplaneStep } from "../lib/programs/dataplane-executor.ts";
import { root } from "../lib/suite.ts";
import { endpointPlan } from "../unit/dataplane/scene.ts";

const targetDirectory = join(root, "build/test-bin-dataplane");
const plan = endpointPlan();
const { owner } = plan;
let node: Node;
let pods: Record<string, string>;
let count = 0;

beforeAll(async () => {
  const program = `
    import { quickjsSys } from "./src/host/quickjs.ts";
    import { runDataplaneExecutor } from "./test/lib/programs/dataplane-executor.ts";
    export const main = () => runDataplaneExecutor(quickjsSys);
  `;
  await buildExecutable({
    programs: { "dataplane-executor": program },
    workDirectory: join(root, "build/dataplane-executor"),
    targetDirectory,
    define: { TORTIE_VERSION: '"0"', TORTIE_COMMIT: '"test"', TORTIE_ENGINE: '"quickjs"', TORTIE_FAULTS: "false" },
  });
  node = await Node.start("node");
});

beforeEach(() => {
  count++;
  pods = { a: node.addPod(`a${count}`), b: node.addPod(`b${count}`) };
});

afterEach(() => {
  for (const name of ["cali5", "bwp5"]) node.run(["ip", "link", "del", name]);
  node.run(["ip", "route", "del", "10.0.0.5/32"]);
});

afterAll(() => node?.stop());

test("apply() repeated changes nothing, and its undo() rolls back nothing", () => {
  expect(take({ step: "apply", in: "a", plan }, { step: "diff", in: "a", plan })[1]?.value).toEqual([]);
  const before = state();
  const answers = take({ step: "apply", in: "a", plan }, { step: "undo" }, { step: "diff", in: "a", plan });
  expect(answers.map(({ refused }) => refused)).toEqual([undefined, undefined, undefined]);
  expect(answers[2]?.value).toEqual([]);
  expect(diff(before, state())).toBe("");
});

test("undo() leaves the host and the sandbox as they were", () => {
  const before = state();
  take({ step: "apply", in: "a", plan }, { step: "undo" });
  expect(diff(before, state())).toBe("");
});

test("apply() that fails at its last message leaves the host and the sandbox as they were", () => {
  const before = state();
  const failing: Plan = {
    owner,
    resources: [
      ...plan.resources,
      { kind: "route", at: "host", link: "cali5", destination: "10.3.0.0/16", source: "192.0.2.9" },
    ],
  };
  expect(take({ step: "apply", in: "a", plan: failing })[0]?.refused).toBe(
    "cannot add route 10.3.0.0/16 dev cali5 scope link src 192.0.2.9 on the host: Invalid argument (EINVAL): Invalid prefsrc address",
  );
  expect(diff(before, state())).toBe("");
});

test.each([
  [
    "a rate",
    "tc qdisc change dev cali5 root handle 1: tbf rate 2mbit burst 125000 limit 128125",
    /^qdisc tbf on cali5 has rate 250000 B\/s, wanted 125000 B\/s$/,
  ],
  [
    "a MAC address",
    "ip link set dev cali5 address 02:00:00:00:00:99",
    /^link cali5 has mac 02:00:00:00:00:99, wanted ee:/,
  ],
  ["an MTU", "ip link set dev cali5 mtu 1300", /^link cali5 has mtu 1300, wanted 1440$/],
  ["a route", "ip route del 10.0.0.5/32 dev cali5", /^route 10.0.0.5\/32 dev cali5 scope link is missing$/],
  [
    "a route's form",
    "ip route replace 10.0.0.5/32 via 203.0.113.2",
    /missing \(found 10.0.0.5\/32 via 203.0.113.2 dev uplink\)$/,
  ],
  ["a redirect", "tc filter del dev cali5 parent ffff:", /^redirect of packets from cali5 to bwp5 is missing$/],
  ["a link down", "ip link set dev cali5 down", /^link cali5 is down$/],
])("diff() names %s that was changed by hand", (_, command, text) => {
  take({ step: "apply", in: "a", plan });
  node.sh(command);
  const [answer] = take({ step: "diff", in: "a", plan });
  expect(answer?.value).toContainEqual(expect.stringMatching(text));
});

test.each([
  ["a rate", "tc qdisc change dev cali5 root handle 1: tbf rate 2mbit burst 125000 limit 128125"],
  ["a MAC address", "ip link set dev cali5 address 02:00:00:00:00:99"],
  ["an MTU", "ip link set dev cali5 mtu 1300"],
  ["a route", "ip route del 10.0.0.5/32 dev cali5"],
  ["a redirect", "tc filter del dev cali5 parent ffff:"],
  [
    "a redirect's target",
    "tc filter replace dev cali5 parent ffff: handle 800::800 protocol all pref 1 u32 match u32 0 0 flowid 1:1 action mirred egress redirect dev lo",
  ],
])("apply() repeated repairs %s", (_, command) => {
  take({ step: "apply", in: "a", plan });
  node.sh(command);
  const answers = take(
    { step: "diff", in: "a", plan },
    { step: "apply", in: "a", plan },
    { step: "diff", in: "a", plan },
  );
  expect(answers[0]?.value).not.toEqual([]);
  expect(answers.map(({ refused }) => refused)).toEqual([undefined, undefined, undefined]);
  expect(answers[2]?.value).toEqual([]);
});

test("apply() refuses a foreign eth0 in the sandbox and leaves it alone", () => {
  node.sh(`ip link add foreign type veth peer name eth0 netns a${count}`);
  const before = state();
  expect(take({ step: "apply", in: "a", plan })[0]?.refused).toMatch(/"eth0" exists, and Tortie does not own it$/);
  expect(diff(before, state())).toBe("");
  node.sh("ip link del foreign");
});

test("apply() rejects a host link of another owner, unless it is an earlier sandbox of the same pod", () => {
  const links: Plan = { owner: "tortie:net/old/eth0", resources: plan.resources.filter(({ kind }) => kind === "veth") };
  const answers = take(
    { step: "apply", in: "a", plan: links },
    { step: "apply", in: "b", plan },
    { step: "diff", in: "a", plan: links },
    { step: "apply", in: "b", plan, mayReplace: links.owner },
    { step: "diff", in: "b", plan },
  );
  expect(answers[1]?.refused).toMatch(/link "cali5" exists and belongs to "tortie:net\/old\/eth0"$/);
  expect(answers[2]?.value).toEqual([]);
  expect(answers[3]?.refused).toBeUndefined();
  expect(answers[4]?.value).toEqual([]);
});

test("apply() waits for a sandbox of the same pod that is being dismantled", () => {
  const other = {
    ...plan,
    owner: "tortie:net/old/eth0",
    resources: plan.resources.filter(({ kind }) => kind === "veth"),
  };
  for (let round = 0; round < 4; round++) {
    const path = node.addPod(`dying${round}`);
    take({ step: "apply", in: path, plan: other });
    node.sh(`ip netns del dying${round}`);
    const [answer] = take({ step: "apply", in: "b", plan });
    expect(answer?.refused).toBeUndefined();
    take({ step: "undo" }, { step: "remove", name: "cali5", owner }, { step: "remove", name: "bwp5", owner });
  }
});

test("remove() deletes the owner's objects, once; list() lists them", () => {
  const answers = take(
    { step: "apply", in: "a", plan },
    { step: "list", ownerPrefix: "tortie:" },
    { step: "remove", name: "cali5", owner: "tortie:net/other/eth0" },
    { step: "list", ownerPrefix: "tortie:" },
    { step: "remove", name: "cali5", owner },
    { step: "remove", name: "cali5", owner },
    { step: "list", ownerPrefix: "tortie:" },
  );
  const [ifb, veth] = [`bwp5 ifb ${owner}`, `cali5 veth ${owner}`];
  expect(answers.slice(1).map(({ value, refused }) => refused ?? value)).toEqual([
    [ifb, veth],
    [],
    [ifb, veth],
    [],
    [],
    [ifb],
  ]);
});

test("removeLinks() deletes many of ours at once, and what is another's in none of their groups", () => {
  const links = Array.from({ length: 60 }, (_, id) => ({ name: `many${id}`, owner: `tortie:net/c${id}/eth0` }));
  const make = ({ name, owner: alias }: (typeof links)[number]) =>
    `link add ${name} type ifb\nlink set ${name} alias ${alias}`;
  node.run(["ip", "-batch", "-"], { stdin: links.map(make).join("\n") });
  // A leftover of a killed process, and a foreign one with the same name.
  node.sh("ip link set many3 group 1953431553; ip link set many4 alias another; ip link set many4 group 1953431554");
  const [answer] = take({ step: "removeLinks", links });
  expect(answer?.refused).toBeUndefined();
  expect(answer?.value).toEqual(links.map(({ name }) => name));
  expect(node.sh("ip -o link show type ifb | grep -o 'many[0-9]*\\|group [0-9]*'").trim()).toBe(
    "many4\ngroup 1953431554",
  );
  // One by one each takes 20 ms.
  expect(answer?.ms).toBeLessThan(60 * 20);
  node.sh("ip link del many4");
});

function take(...steps: readonly DataplaneStep[]): readonly DataplaneAnswer[] {
  const inUse = steps.flatMap((step) => ("in" in step ? [step.in] : []));
  const netns = Object.fromEntries(inUse.map((name) => [name, pods[name] ?? name]));
  const job: DataplaneJob = { netns, steps };
  const { status, stdout, stderr } = node.run([join(targetDirectory, "dataplane-executor")], {
    stdin: JSON.stringify(job),
  });
  if (status !== 0) throw new Error(`cannot take the steps: ${stdout}${stderr}`);
  return JSON.parse(stdout) as readonly DataplaneAnswer[];
}

function state(): string {
  return [snapshot(node), snapshot(node, { in: `a${count}` })].join("\n");
}
