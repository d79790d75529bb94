/**
 * An administrator changes pools while the node has pods: that damages no pod, so CHECK confirms each and the doctor has no finding. The doctor
 * reports what takes effect with the next ADD, and the next ADD updates the shared tables.
 */
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parseConflist } from "../lib/conflist.ts";
import { type Doctored, doctor } from "../lib/node/doctor.ts";
import { Node } from "../lib/node/netns.ts";
import { Runner } from "../lib/runtimes/runner.ts";
import { pluginDirs, requireBuild, root } from "../lib/suite.ts";

const pool = (name: string, spec: object) =>
  JSON.stringify({ apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec });

const main = { type: "calico", ipam: { type: "calico-ipam", assign_ipv6: "true" } };
const conflist = parseConflist(JSON.stringify({ name: "k8s-pod-network", cniVersion: "1.1.0", plugins: [main] }));

let node: Node;
let runner: Runner;
let pods = 0;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  tortie("apply -f -", pool("first", { cidr: "10.65.0.0/24", natOutgoing: true }));
  tortie("apply -f -", pool("first6", { cidr: "fd65::/112", natOutgoing: true }));
});

afterEach(async () => {
  await node?.stop();
});

function newPod() {
  const name = `pod${++pods}`;
  const sandbox = { pod: name, containerId: `${name}-0a1b2c`, netns: node.addPod(name), ifname: "eth0" };
  runner.add(conflist, sandbox);
  return sandbox;
}

function tortie(line: string, stdin = ""): string {
  const { status, stdout, stderr } = node.run([process.execPath, join(root, "dist/tortie.js"), ...line.split(" ")], {
    stdin,
  });
  if (status !== 0) throw new Error(`tortie ${line}: ${stderr}`);
  return stdout;
}

interface Change {
  readonly name: string;
  readonly make: () => void;
  /** The doctor's remark. */
  readonly remark: RegExp;
  /** Elements of the sets after the next ADD. */
  readonly after: RegExp;
  /** IDs of findings, if any. */
  readonly wrong?: readonly string[];
}

const changes: readonly Change[] = [
  {
    name: "another pool",
    make: () => tortie("apply -f -", pool("second", { cidr: "10.66.0.0/24", natOutgoing: true })),
    remark: /table ip tortie: .*\(10\.66\.0\.0\/24 joins all_pools, 10\.66\.0\.0\/24 joins nat_pools\)/,
    after: /nat_pools \{[^}]*10\.65\.0\.0\/24, 10\.66\.0\.0\/24/,
  },
  {
    name: "natOutgoing turned off",
    make: () => tortie("apply -f -", pool("first", { cidr: "10.65.0.0/24", natOutgoing: false })),
    remark: /10\.65\.0\.0\/24 leaves nat_pools/,
    after: /all_pools \{[^}]*10\.65\.0\.0\/24/,
  },
  {
    name: "another IPv6 pool",
    make: () => tortie("apply -f -", pool("second6", { cidr: "fd66::/112", natOutgoing: false })),
    remark: /table ip6 tortie: .*\(fd66::\/112 joins all_pools\)/,
    after: /all_pools \{[^}]*fd65::\/112,\s+fd66::\/112/,
  },
  {
    name: "a pool cut into parts",
    make: () => tortie("ipam split 2 --name first"),
    remark: /10\.65\.0\.0\/25 joins all_pools, .*10\.65\.0\.0\/24 leaves nat_pools/,
    after: /all_pools \{[^}]*10\.65\.0\.0\/25, 10\.65\.0\.128\/25/,
  },
  {
    name: "a disabled pool",
    make: () => {
      tortie("apply -f -", pool("first", { cidr: "10.65.0.0/24", natOutgoing: true, disabled: true }));
      tortie("apply -f -", pool("second", { cidr: "10.66.0.0/24", natOutgoing: true }));
    },
    remark: /10\.66\.0\.0\/24 joins all_pools/,
    after: /10\.65\.0\.0\/24, 10\.66\.0\.0\/24/,
  },
  {
    name: "the last pool of a family deleted",
    make: () => tortie("delete ippool first --force"),
    remark: /table ip tortie: /,
    // If the family has no pool, an ADD creates the default one.
    after: /all_pools \{[^}]*192\.168\.0\.0\/16/,
    wrong: ["address-outside-pools"],
  },
  {
    name: "all pools deleted",
    make: () => tortie("delete ippool first first6 --force"),
    remark: /10\.65\.0\.0\/24 leaves all_pools|fd65::\/112 leaves all_pools/,
    after: /all_pools \{[^}]*192\.168\.0\.0\/16/,
    wrong: ["address-outside-pools", "address-outside-pools"],
  },
];

describe.each(changes)("$name", ({ make, remark, after, wrong = [] }) => {
  test("damages no pod, and takes effect with the next ADD", () => {
    const sandbox = newPod();
    make();
    expect(() => runner.check(conflist, sandbox)).not.toThrow();
    const seen = doctor(node, { probe: false });
    expect(idsOf(seen)).toEqual(wrong);
    expect(seen.remarks).not.toEqual([]);
    for (const one of seen.remarks) {
      expect(one).toMatch(remark);
      expect(one).toMatch(/the pools have changed.* the next ADD applies that$/);
    }
    const next = newPod();
    expect(node.sh("nft list ruleset | tr -d '\\n\\t'")).toMatch(after);
    for (const one of [sandbox, next]) expect(() => runner.check(conflist, one)).not.toThrow();
    const well = doctor(node, { probe: false });
    expect(idsOf(well)).toEqual(wrong);
    expect(well.remarks).toEqual([]);
  });
});

test("tortie doctor finds further damage after the next ADD has written the sets", () => {
  const sandbox = newPod();
  tortie("apply -f -", pool("second", { cidr: "10.66.0.0/24", natOutgoing: true }));
  node.sh("nft flush chain ip tortie postrouting");
  expect(() => runner.check(conflist, sandbox)).toThrow(/rule .* of chain ip tortie postrouting is missing/);
  newPod();
  node.sh("nft flush set ip tortie nat_pools");
  expect(() => runner.check(conflist, sandbox)).toThrow(/10\.65\.0\.0\/24 .* nat_pools is missing/);
  expect(idsOf(doctor(node, { fix: true, probe: false }))).toEqual([]);
  expect(() => runner.check(conflist, sandbox)).not.toThrow();
});

function idsOf({ findings }: Doctored): readonly string[] {
  return findings.map(({ id }) => id);
}
