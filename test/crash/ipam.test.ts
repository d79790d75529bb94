/**
 * `calico-ipam` under fire: many at once, killed at any instruction.
 *
 *     16 workers ── ADD, DEL, ADD, … of the built executable ─┐
 *     killer     ── SIGKILL at a random moment ───────────────┴─► store files ─► checkIpam() ─► repair() ─► checkIpam(): nothing is left
 *
 * TORTIE_CRASH_OPERATIONS and TORTIE_CRASH_KILLS set the scale; CI runs the full one, 5,000 and 200.
 */
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { redirectedSys } from "../../src/cli/node/redirected-sys.ts";
import { nodeSys } from "../../src/host/node/node.ts";
import type { Sys } from "../../src/host/sys.ts";
import { checkIpam } from "../../src/ipam/check/check.ts";
import { confirmedProblems, repair } from "../../src/ipam/check/repair.ts";
import type { Report, Snapshot } from "../../src/ipam/check/report.ts";
import { listPools } from "../../src/ipam/model/pool.ts";
import { fileStore } from "../../src/store/file/store.ts";
import type { StoredObject } from "../../src/store/object.ts";
import { drive, list } from "../../src/store/transaction.ts";
import { record } from "../lib/faults/reliability.ts";
import { Node } from "../lib/node/netns.ts";
import { ourPluginDir, requireBuild, root } from "../lib/suite.ts";

const operations = Number(process.env.TORTIE_CRASH_OPERATIONS ?? 5_000);
const kills = Number(process.env.TORTIE_CRASH_KILLS ?? 200);
const pools = { v4: { cidr: "10.44.0.0/22", blockSize: 28 }, v6: { cidr: "fd00:44::/118", blockSize: 124 } };

interface Outcome {
  /** Containers that were added and not deleted, with their addresses. */
  readonly live: readonly (readonly [string, readonly string[]])[];
  readonly killed: number;
  readonly duplicates: readonly string[];
  readonly failures: readonly string[];
}

let node: Node;
let sys: Sys;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  for (const [name, spec] of Object.entries(pools)) {
    const pool = { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec };
    const path = `/var/lib/tortie/ippools/${name}.json`;
    node.sh(`mkdir -p /var/lib/tortie/ippools; cat >${path}`, { stdin: JSON.stringify(pool) });
  }
  node.addPod("pod");
  const directories = { run: node.outerPath("/run/tortie"), state: node.outerPath("/var/lib/tortie") };
  sys = redirectedSys(nodeSys, directories, () => undefined);
});

afterAll(async () => {
  await node?.stop();
});

describe(`16 processes at once, ${operations} operations, ${kills} of them killed`, () => {
  let outcome: Outcome;
  let before: Report;

  test("no address has two owners, and whoever is not killed succeeds", () => {
    const script = join(root, "test/crash/ipam-workers.mjs");
    const argv = [process.execPath, script, join(ourPluginDir, "calico-ipam"), "16", `${operations}`, `${kills}`];
    const { status, stdout, stderr } = node.run(argv, { timeoutMs: 240_000 });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    outcome = JSON.parse(stdout) as Outcome;
    expect(outcome.duplicates).toEqual([]);
    expect(outcome.failures).toEqual([]);
    expect(outcome.killed).toBeGreaterThanOrEqual(kills * 0.9);
  });

  test("check finds every address that nobody has any more, and calls no other leaked", () => {
    before = checkIpam(snapshot(outcome));
    const live = new Map(outcome.live.flatMap(([container, ips]) => ips.map((ip) => [ip, `crash.${container}`])));
    const found = new Map(before.allocations.map((one) => [one.address, one]));
    for (const [address, handle] of live) expect(found.get(address)).toMatchObject({ handle, state: "in use" });
    const leaked = before.allocations.filter(({ address }) => !live.has(address));
    if (kills >= 100) expect(leaked.length).toBeGreaterThan(0);
    expect(leaked.map(({ state }) => state)).toEqual(leaked.map(() => "leaked"));
    const kinds = new Set(before.problems.map(({ kind }) => kind));
    for (const kind of kinds)
      expect(["leaked address", "leaked handle", "wrong handle count", "stale affinity"]).toContain(kind);
  });

  test("release of what is reported leaves nothing to report", () => {
    const fresh = snapshot(outcome);
    const report = checkIpam(fresh);
    const store = fileStore(sys);
    for (const problem of confirmedProblems([before], report))
      expect(drive(repair(problem, report, fresh), store)).toBeDefined();
    const after = checkIpam(snapshot(outcome));
    record("store", { row: "store", tried: operations, left: after.problems.length });
    expect(after.problems).toEqual([]);
    expect(after.allocations).toHaveLength(outcome.live.flatMap(([, ips]) => ips).length);
  });
});

/** The snapshot for a check: its sandboxes are those that were added and not deleted, all old enough to be checked. */
function snapshot({ live }: Outcome): Snapshot {
  const damaged: Snapshot["damaged"][number][] = [];
  const store = fileStore(sys, { onDamaged: (error) => damaged.push(error) });
  const objects = (kind: StoredObject["kind"]) => drive(list(kind), store);
  return {
    node: "node-a",
    takenAt: BigInt(Date.now() + 600_000) * 1_000_000n,
    pools: drive(listPools(), store).pools,
    blocks: objects("IPAMBlock"),
    handles: objects("IPAMHandle"),
    affinities: objects("BlockAffinity"),
    damaged,
    endpoints: live.map(([containerId, addresses]) => ({
      attachment: { network: "crash", containerId, ifname: "eth0" },
      pod: undefined,
      hostInterface: "cali0",
      addresses,
      netns: `/run/netns/${containerId}`,
      sandbox: "there" as const,
    })),
    links: [],
    seen: [],
    hasUnseen: false,
  };
}
