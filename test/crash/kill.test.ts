/** Plugins killed by SIGKILL after random microseconds, ours on the release build and Go's for comparison, and the effect of the next command. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadConflist, parseConflist } from "../lib/conflist.ts";
import { type Count, isFull, record, timeoutMs } from "../lib/faults/reliability.ts";
import { doctor } from "../lib/node/doctor.ts";
import { Node } from "../lib/node/netns.ts";
import { randomOf, seed } from "../lib/random.ts";
import type { Sandbox } from "../lib/runtimes/runner.ts";
import { example, goPluginDir, pluginDirs, requireBuild } from "../lib/suite.ts";
import { goChain, goKeeps } from "./go-chain.ts";
import { Killing, type KillingOptions, type Trial } from "./killing.ts";

const kills = isFull ? { ours: 3_000, go: 1_000 } : { ours: 150, go: 40 };

/** The ring's own limit holds for the short run. */
const limitMs = isFull ? timeoutMs : undefined;

let node: Node;
let go: Count | undefined;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
});

afterEach(async () => {
  await node?.stop();
});

describe(`seed ${seed}`, () => {
  test(
    `${kills.go} kills of Go's ptp, host-local, bandwidth and portmap: counted`,
    async () => {
      const killing = new Killing({
        node,
        list: parseConflist(goChain),
        random: randomOf(seed),
        // These have no GC and do not support a second ADD of the same sandbox; vanished sandboxes have their own test.
        victims: ["ADD", "ADD", "DEL"],
        aftermaths: ["del", "del twice", "next sandbox"],
        pluginDirs: [goPluginDir],
        alsoKept: goKeeps,
      });
      // Objects that the plugins create once and keep must exist before the first trial.
      const first = killing.newSandbox("first");
      expect([...killing.serve(first), ...killing.del(first)]).toEqual([]);
      const trials = await killed(killing, kills.go, []);
      go = { tried: trials.length, left: trials.filter(({ left }) => left.length > 0).length };
    },
    limitMs,
  );

  test(
    `${kills.ours} kills: the node is as before, the address free, the pod served; the neighbour does not notice; the doctor finds nothing`,
    async () => {
      const options: KillingOptions = {
        node,
        list: loadConflist(example("10-calico.conflist")),
        random: randomOf(seed),
        victims: ["ADD", "ADD", "ADD", "DEL", "DEL", "GC"],
        aftermaths: ["del", "del twice", "vanished", "gc", "again", "next sandbox"],
        pluginDirs,
      };
      const killing = new Killing(options);
      const neighbour = killing.newSandbox("neighbour");
      expect(killing.serve(neighbour)).toEqual([]);
      const trials = await killed(killing, kills.ours, [neighbour]);
      killing.check(neighbour);
      const bad = trials.filter(({ left }) => left.length > 0);
      record("random", { row: "random", tried: trials.length, left: bad.length, ...(go && { go }) });
      expect(bad).toEqual([]);
      expect(doctor(node)).toMatchObject({ exitCode: 0, findings: [] });
    },
    limitMs,
  );
});

/** `count` trials in which a process was killed, and those in which something was left although none was. */
async function killed(killing: Killing, count: number, neighbours: readonly Sandbox[]): Promise<readonly Trial[]> {
  const trials: Trial[] = [];
  for (let tries = 0; trials.length < count; tries++) {
    if (tries > 4 * count) throw new Error(`cannot kill: of ${tries} processes ${trials.length} were still there`);
    const trial = await killing.try(neighbours);
    if (trial.wasKilled || trial.left.length > 0) trials.push(trial);
  }
  return trials;
}
