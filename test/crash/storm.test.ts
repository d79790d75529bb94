/** Storms of ADD, DEL and GC on the release build: attachments without a DEL are served, everything else is removed, the administrator's objects are untouched. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConflist } from "../lib/conflist.ts";
import { isFull, record, timeoutMs } from "../lib/faults/reliability.ts";
import { doctor } from "../lib/node/doctor.ts";
import { Node } from "../lib/node/netns.ts";
import { residue, stateOf } from "../lib/node/state.ts";
import { ping } from "../lib/node/traffic.ts";
import { randomOf, seed } from "../lib/random.ts";
import { addressOf, Runner, requestOf } from "../lib/runtimes/runner.ts";
import { example, pluginDirs, requireBuild } from "../lib/suite.ts";
import { administer, administered } from "./administrator.ts";
import { Storm, type Survivor } from "./storm.ts";

const list = loadConflist(example("10-calico.conflist"));
const seeds = Array.from({ length: isFull ? 10 : 1 }, (_, index) => seed + index);
const counted = { tried: 0, left: 0 };

let node: Node;
let runner: Runner;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  administer(node);
});

afterEach(async () => {
  await node?.stop();
});

describe("a storm of 500 ADDs and DELs on 64 sandboxes, while GC runs", () => {
  test.each(seeds)(
    "seed %i: whoever is not deleted is served, all else is gone, an administrator's own is the same byte for byte",
    async (seed) => {
      const before = stateOf(node);
      const theirs = administered(node);
      const storm = new Storm({ node, runner, list, random: randomOf(seed), sandboxes: 64, operations: 500 });
      const { operations, collections, ways, failures, survivors } = await storm.rage();
      const unserved = survivors.flatMap((each) => faultsOf(each));
      const addresses = survivors.map(({ result }) => result.ips?.[0]?.address);
      const duringStorm = administered(node);
      for (const { sandbox } of survivors) runner.del(list, sandbox);
      runner.collect(list, []);
      const left = await residue(node, before);
      counted.tried += operations;
      counted.left += failures.length + unserved.length + left.length;
      record("storm", { row: "storm", ...counted });
      expect({ failures, unserved, left }).toEqual({ failures: [], unserved: [], left: [] });
      expect(new Set(addresses).size).toBe(addresses.length);
      expect(duringStorm).toBe(theirs);
      expect(administered(node)).toBe(theirs);
      expect(doctor(node)).toMatchObject({ exitCode: 0, findings: [] });
      // A storm without survivors, collections or one of its ways would prove little.
      expect({ collections, survivors: survivors.length, ways: Object.keys(ways).length }).toEqual({
        collections: expect.toSatisfy((count: number) => count > 3),
        survivors: expect.toSatisfy((count: number) => count > 8),
        ways: 13,
      });
    },
    isFull ? timeoutMs : undefined,
  );
});

function faultsOf({ sandbox, result }: Survivor): readonly string[] {
  const calls = list.plugins.map((plugin) =>
    runner.tryExec("CHECK", plugin.type, requestOf(list, plugin, { sandbox, prevResult: result }), sandbox),
  );
  const faults = calls.filter(({ status }) => status !== 0).map(({ stdout }) => `${sandbox.containerId}: ${stdout}`);
  const address = addressOf(result);
  return ping(node, undefined, address) ? faults : [...faults, `${sandbox.containerId}: no echo from ${address}`];
}
