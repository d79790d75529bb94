/**
 * DEL of sandboxes that vanished first: the namespace was deleted, its path is a stale mount point, another namespace is at its path, or there is
 * no path; with the runtime's memory of ADD and without. Ours must leave nothing; what Go's plugins leave is counted for comparison.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, loadConflist, parseConflist } from "../lib/conflist.ts";
import { type Count, isFull, record, timeoutMs } from "../lib/faults/reliability.ts";
import { doctor } from "../lib/node/doctor.ts";
import { Node } from "../lib/node/netns.ts";
import { residue, stateOf } from "../lib/node/state.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, goPluginDir, pluginDirs, requireBuild } from "../lib/suite.ts";
import { goChain, goKeeps } from "./go-chain.ts";
import { type PodSandbox, webSandbox } from "./sandbox.ts";

const rounds = isFull ? 40 : 1;
const limitMs = isFull ? timeoutMs : undefined;

interface Vanishing {
  readonly what: string;
  /** Makes the sandbox vanish, and returns the runtime's arguments of DEL if they change. */
  readonly vanish: (pod: PodSandbox) => Sandbox | Promise<Sandbox>;
}

let node: Node;
let go: Count | undefined;

const vanishings: readonly Vanishing[] = [
  {
    what: "path gone",
    vanish: (pod) => {
      node.removePod(pod.pod);
      return pod;
    },
  },
  {
    what: "path a stale mount point",
    vanish: (pod) => {
      node.sh(`umount ${pod.netns}; test -f ${pod.netns}`);
      return pod;
    },
  },
  {
    what: "another namespace at the path",
    vanish: (pod) => {
      node.removePod(pod.pod);
      node.addPod(pod.pod);
      return pod;
    },
  },
  {
    what: "no path",
    vanish: (pod) => {
      node.removePod(pod.pod);
      return { ...pod, netns: "" };
    },
  },
  {
    what: "namespace on its way out",
    vanish: (pod) => {
      void node.runBeside(["ip", "netns", "del", pod.pod]);
      return pod;
    },
  },
];

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
});

afterEach(async () => {
  await node?.stop();
});

describe("DEL of a sandbox that is gone", () => {
  test(
    "by Go's ptp, host-local, bandwidth and portmap: counted",
    async () => {
      const lefts = await tryAll(new Runner({ node, pluginDirs: [goPluginDir] }), parseConflist(goChain), goKeeps);
      go = { tried: lefts.length, left: lefts.filter(({ left }) => left.length > 0).length };
    },
    limitMs,
  );

  test(
    "leaves nothing, and the doctor finds nothing",
    async () => {
      const list = loadConflist(example("10-calico.conflist"));
      const lefts = await tryAll(new Runner({ node, pluginDirs }), list);
      const bad = lefts.filter(({ left }) => left.length > 0);
      record("vanished", { row: "vanished", tried: lefts.length, left: bad.length, ...(go && { go }) });
      expect(bad).toEqual([]);
      expect(doctor(node)).toMatchObject({ exitCode: 0, findings: [] });
    },
    limitMs,
  );
});

async function tryAll(
  runner: Runner,
  list: Conflist,
  alsoKept?: RegExp,
): Promise<readonly { readonly what: string; readonly left: readonly string[] }[]> {
  // Objects that the plugins create once and keep must exist before the first.
  const first = webSandbox(node, 0);
  runner.add(list, first);
  runner.del(list, first);
  node.removePod(first.pod);
  let before = stateOf(node);
  const tried: { readonly what: string; readonly left: readonly string[] }[] = [];
  const cases = vanishings.flatMap((each) => [true, false].map((remembers) => ({ ...each, remembers })));
  for (let i = 0; i < rounds * cases.length; i++) {
    const { what, vanish, remembers } = cases[i % cases.length] as (typeof cases)[number];
    const pod = webSandbox(node, i + 1);
    runner.add(list, pod);
    const gone = await vanish(pod);
    if (!remembers) runner.forget();
    const errors = [...tryDel(runner, list, gone), ...tryDel(runner, list, gone)];
    const left = [...errors, ...(await residue(node, before, alsoKept))];
    tried.push({ what: `${what}, ${remembers ? "with" : "without"} prevResult`, left });
    node.sh(`umount ${pod.netns} 2>/dev/null || true; rm -f ${pod.netns}`);
    if (left.length > 0) before = stateOf(node);
  }
  return tried;
}

function tryDel(runner: Runner, list: Conflist, sandbox: Sandbox): readonly string[] {
  try {
    runner.del(list, sandbox);
    return [];
  } catch (error) {
    return [`DEL fails: ${(error as Error).message}`];
  }
}
