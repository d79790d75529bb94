/** CRI-O's order of calls, with its arguments: VERSION of every plugin, STATUS, GC at start, CHECK right after ADD, DEL once. */
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { loadConflist, withVersion } from "../lib/conflist.ts";
import { queueRates } from "../lib/node/expect-rate.ts";
import { install } from "../lib/node/install.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { measureRate, ping } from "../lib/node/traffic.ts";
import { Crio } from "../lib/runtimes/crio.ts";
import { addressOf } from "../lib/runtimes/runner.ts";
import { example, requireBuild } from "../lib/suite.ts";

const usual = loadConflist(example("10-calico.conflist"));
/** The directory in README's commands, which is also CRI-O's default. */
const pluginDirs = ["/opt/cni/bin"];
let node: Node;
let clean: string;

beforeAll(requireBuild);

beforeEach(async () => {
  node = await Node.start();
  install(node);
  clean = snapshot(node);
});

afterEach(async () => {
  await node?.stop();
});

function requests(name: string, more: object = {}) {
  return { namespace: "default", name, containerId: `${name}-4f0a`, ...more };
}

function expectNothingLeft(): void {
  expect(leaks(diff(clean, snapshot(node)))).toEqual([]);
}

describe.each(["1.0.0", "1.1.0"])("with cniVersion %s", (version) => {
  const list = withVersion(usual, version);

  test("pods run, are looked at and stopped, and nothing is left", () => {
    const crio = new Crio(node, pluginDirs, list);
    const pods = ["a", "b", "c"].map((name) => crio.run(requests(name)));
    expect(new Set(pods.map(({ result }) => addressOf(result))).size).toBe(3);
    for (const pod of pods) {
      crio.look(pod);
      expect(ping(node, undefined, addressOf(pod.result))).toBe(true);
      expect(ping(node, pod.containerId, outsideAddress4)).toBe(true);
    }
    for (const pod of pods) expect(crio.stop(pod)).toBeUndefined();
    expectNothingLeft();
  });

  test("a pod's queues have the rates that it asks for, and CRI-O's burst of 4 GB passes at once", () => {
    const crio = new Crio(node, pluginDirs, list);
    const pod = crio.run(requests("a", { ingressRate: 20e6, egressRate: 10e6 }));
    crio.look(pod);
    expect(queueRates(node)).toEqual({ toPods: [20e6], fromPods: [10e6] });
    // The reference's numbers overflow 32 bits, which makes a queue a packet or two too short.
    const { containerId, result } = pod;
    for (const [from, to, address, least] of [
      [undefined, containerId, addressOf(result), 40e6],
      [containerId, undefined, nodeAddress4, 20e6],
    ] as const) {
      const rate = measureRate(node, from, to, address, { after: 0, seconds: 1, least });
      expect(rate.bitsPerSecond).toBeGreaterThan(least);
    }
    expect(crio.stop(pod)).toBeUndefined();
    expectNothingLeft();
  });

  test.each(["with", "without"])("a start of CRI-O %s its cache keeps what is alive and takes what is not", (cache) => {
    const first = new Crio(node, pluginDirs, list);
    const [live, dead] = [first.run(requests("live")), first.run(requests("dead", { egressRate: 10e6 }))];
    node.removePod(dead.containerId);
    if (cache === "without") first.runner.forget();
    const again = new Crio(node, pluginDirs, list, [live]);
    // Without the cache, only GC can remove it, which exists since 1.1.0.
    const isCollected = cache === "with" || version === "1.1.0";
    expect(node.sh("ls /run/tortie/endpoints").includes(dead.containerId)).toBe(!isCollected);
    expect(ping(node, undefined, addressOf(live.result))).toBe(true);
    const next = again.run(requests("next"));
    expect(addressOf(next.result)).not.toBe(addressOf(live.result));
    for (const pod of [next, live, dead]) expect(again.stop(pod)).toBeUndefined();
    expectNothingLeft();
  });
});

test("CRI-O inspects and stops a pod after its configuration was edited", () => {
  const pod = new Crio(node, pluginDirs, usual).run(requests("a", { ingressRate: 10e6 }));
  const edited = { ...usual, plugins: usual.plugins.filter(({ type }) => type === "calico") };
  const again = new Crio(node, pluginDirs, edited, [pod]);
  again.look(pod);
  expect(again.stop(pod)).toBeUndefined();
  expectNothingLeft();
});

test.each([
  ["is gone", (path: string) => `ip netns del ${path.replace(/.*\//, "")}`],
  ["is a file and no namespace any more", (path: string) => `umount ${path}; [ -f ${path} ]`],
])("a pod whose network namespace %s is stopped", (_, end) => {
  const crio = new Crio(node, pluginDirs, usual);
  const pod = crio.run(requests("a", { egressRate: 10e6 }));
  node.sh(end(pod.netns));
  expect(crio.stop(pod)).toBeUndefined();
  expectNothingLeft();
});

test("CRI-O rejects a list with a version that a plugin does not know", () => {
  expect(() => new Crio(node, pluginDirs, withVersion(usual, "9.9.9"))).toThrow(/does not support config version/);
});
