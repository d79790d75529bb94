/**
 * DEL with a stale CNI_NETNS. Runtimes name a sandbox by a process (`/proc/<pid>/ns/net`); after its end another process may have the ID: one of
 * the node, or of another pod. Files and directories with that name may be left as well.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, loadConflist, withVersion } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { Runner, requestOf, type Sandbox } from "../lib/runtimes/runner.ts";
import { example, ourPluginDir, pluginDirs, requireBuild } from "../lib/suite.ts";

const ours = withVersion(loadConflist(example("10-calico-dual-stack.conflist")), "1.0.0");
const [calico, ...others] = ours.plugins as [Conflist["plugins"][0], ...Conflist["plugins"]];
const chain: Conflist = { ...ours, plugins: [calico, { type: "loopback" }, ...others] };
/** With a delegate of the reference, whose skeleton refuses the node's own namespace. */
const withHostLocal: Conflist = {
  ...chain,
  plugins: [
    { ...calico, ipam: { type: "host-local", ranges: [[{ subnet: "10.77.0.0/24" }]] } },
    ...chain.plugins.slice(1),
  ],
};

let node: Node;
let runner: Runner;
let clean: string;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
  node.sh(
    "mkdir -p /run/netns; echo text > /run/netns/file; mkdir /run/netns/directory; ln -s /run/netns/loop /run/netns/loop",
  );
  // Objects that a node keeps must exist before.
  for (const list of [chain, withHostLocal]) runner.del(list, add(list));
});

afterAll(async () => {
  await node?.stop();
});

beforeEach(() => {
  clean = snapshot(node);
});

function add(list: Conflist): Sandbox & { readonly pod: string } {
  const pod = `pod${++pods}`;
  const portMappings = [{ hostPort: 8000 + pods, containerPort: 80, protocol: "tcp" }];
  const bandwidth = { ingressRate: 20e6, ingressBurst: 1e6, egressRate: 20e6, egressBurst: 1e6 };
  node.sh(`ip netns add ${pod}`);
  const sandbox = {
    containerId: `${pod}-id`,
    netns: `/run/netns/${pod}`,
    ifname: "eth0",
    capabilities: { portMappings, bandwidth },
  };
  runner.add(list, sandbox);
  return { ...sandbox, pod };
}

/** Except for the cursor of `host-local`, which advances. */
function leftSince(before: string): readonly string[] {
  return leaks(diff(before, snapshot(node))).filter((line) => !line.includes("/last_reserved_ip."));
}

const paths: readonly (readonly [string, string])[] = [
  ["the node's own namespace", "/proc/1/ns/net"],
  ["another kind of namespace", "/proc/1/ns/mnt"],
  ["a plain file", "/run/netns/file"],
  ["a directory", "/run/netns/directory"],
  ["a link to itself", "/run/netns/loop"],
  ["a process that has ended", "/proc/4194304/ns/net"],
];

describe.each([
  ["calico-ipam", chain],
  ["a delegate of the reference's", withHostLocal],
] as const)("with %s", (_, list) => {
  test.each(paths)("DEL with %s leaves nothing, and again", (_, netns) => {
    const sandbox = add(list);
    for (const _ of ["once", "again"]) {
      for (const plugin of [...list.plugins].reverse()) {
        const stale = { ...sandbox, netns };
        const { status, stdout } = runner.tryExec(
          "DEL",
          plugin.type,
          requestOf(list, plugin, { sandbox: stale }),
          stale,
        );
        expect([plugin.type, status, stdout]).toEqual([plugin.type, 0, ""]);
      }
    }
    runner.forget();
    expect(leftSince(clean)).toEqual([]);
    expect(node.sh("ip -json link show lo")).toContain('"UP"');
  });

  test("DEL with another pod's namespace leaves that pod alone", () => {
    const theirs = add(list);
    const served = [snapshot(node), snapshot(node, { in: theirs.pod })];
    const sandbox = add(list);
    runner.del(list, { ...sandbox, netns: theirs.netns });
    expect(leftSince(served[0] ?? "")).toEqual([]);
    expect(snapshot(node, { in: theirs.pod })).toBe(served[1]);
    runner.check(list, theirs);
    runner.del(list, theirs);
  });
});

test("every plugin rejects ADD and CHECK with the node's own namespace, with code 8", () => {
  const sandbox = { containerId: "own", netns: "/proc/1/ns/net", ifname: "eth0" };
  const own = new Runner({ node, pluginDirs: [ourPluginDir] });
  for (const command of ["ADD", "CHECK"] as const) {
    for (const plugin of [...chain.plugins, { type: "calico-ipam", ipam: { type: "calico-ipam" } }]) {
      const { stdout } = own.tryExec(
        command,
        plugin.type,
        requestOf(chain, plugin, { sandbox, prevResult: { ips: [] } }),
        sandbox,
      );
      expect([plugin.type, JSON.parse(stdout).code]).toEqual([plugin.type, 8]);
    }
  }
});
