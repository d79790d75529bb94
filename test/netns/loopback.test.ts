/** `loopback` on a real kernel, compared with Debian's Go plugin of the same name. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { supportedVersions } from "../../src/cni/version.ts";
import { type Conflist, loadConflist, parseConflist, withVersion } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { containerd } from "../lib/runtimes/runtimes.ts";
import { example, goPluginDir, ourPluginDir, pluginDirs, requireBuild } from "../lib/suite.ts";

/** containerd's built-in configuration for every pod. */
const list = parseConflist('{"cniVersion":"0.3.1","name":"cni-loopback","plugins":[{"type":"loopback"}]}');

let node: Node;
let runner: Runner;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterAll(async () => {
  await node?.stop();
});

/** A sandbox as a runtime creates it: lo is down. */
function newSandbox(): Sandbox & { readonly pod: string } {
  const pod = `pod${++pods}`;
  const requests = { namespace: "default", name: pod, containerId: `${pod}-0a1b` };
  node.sh(`ip netns add ${pod}`);
  return { pod, containerId: requests.containerId, netns: `/run/netns/${pod}`, ifname: "lo", ...containerd(requests) };
}

function isUp(pod: string): boolean {
  return node.sh("ip -json link show lo", { in: pod }).includes('"UP"');
}

/** ICMP and ICMPv6 over lo. */
function talks(pod: string, address: string): boolean {
  return node.run(["ping", "-c", "1", "-W", "1", address], { in: pod }).status === 0;
}

describe.each(supportedVersions)("cniVersion %s", (version) => {
  const chain = withVersion(list, version);

  test("ADD raises lo, DEL lowers it, and the sandbox is as before", () => {
    const sandbox = newSandbox();
    // The kernel keeps 127.0.0.1 on a lo that was up before.
    node.sh("ip link set lo up; ip link set lo down", { in: sandbox.pod });
    const before = snapshot(node, { in: sandbox.pod });
    const result = runner.add(chain, sandbox);
    expect(result.cniVersion).toBe(version);
    expect(JSON.stringify(result)).toContain('"127.0.0.1/8"');
    expect(JSON.stringify(result)).toContain('"::1/128"');
    expect([talks(sandbox.pod, "127.0.0.1"), talks(sandbox.pod, "::1")]).toEqual([true, true]);
    if (version >= "0.4.0") runner.check(chain, sandbox);
    runner.del(chain, sandbox);
    runner.del(chain, sandbox);
    expect(isUp(sandbox.pod)).toBe(false);
    expect(diff(before, snapshot(node, { in: sandbox.pod }))).toBe("");
  });
});

test("loopback ADD returns the Go plugin's result without its empty dns", () => {
  const go = new Runner({ node, pluginDirs: [goPluginDir] });
  const ours = new Runner({ node, pluginDirs: [ourPluginDir] });
  const newest = withVersion(list, "1.0.0");
  const sandbox = newSandbox();
  const theirs = go.add(newest, sandbox);
  go.del(newest, sandbox);
  const { dns: _, ...rest } = theirs;
  expect(ours.add(newest, sandbox)).toEqual(rest);
});

test("loopback ADD in a sandbox without IPv6 returns only 127.0.0.1/8", () => {
  const sandbox = newSandbox();
  node.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1", { in: sandbox.pod });
  expect(runner.add(list, sandbox).ips?.map(({ address }) => address)).toEqual(["127.0.0.1/8"]);
});

test("loopback ADD rejects lo with another network's address, and sets it down again", () => {
  const sandbox = newSandbox();
  node.sh("ip address add 10.9.9.9/32 dev lo", { in: sandbox.pod });
  expect(() => runner.add(list, sandbox)).toThrow(/10\.9\.9\.9\/32 is not a loopback address/);
  expect(isUp(sandbox.pod)).toBe(false);
});

test("loopback ADD with the node's own namespace fails with code 8, DEL succeeds, and the node's lo stays up", () => {
  const own = { containerId: "own", netns: "/proc/self/ns/net", ifname: "lo" };
  const request = { cniVersion: "0.3.1", name: "cni-loopback", type: "loopback" };
  expect(JSON.parse(runner.tryExec("ADD", "loopback", request, own).stdout).code).toBe(8);
  expect(runner.tryExec("DEL", "loopback", request, own)).toMatchObject({ status: 0, stdout: "" });
  expect(node.sh("ip -json link show lo")).toContain('"UP"');
});

test("loopback DEL leaves lo up if another container claimed it or the runtime set it up", () => {
  const [raised, theirs] = [newSandbox(), newSandbox()];
  node.sh("ip link set lo up", { in: raised.pod });
  for (const sandbox of [raised, theirs]) runner.add(list, sandbox);
  runner.del(list, raised);
  runner.del(list, { ...theirs, containerId: "its-process-id-was-mine" });
  expect([isUp(raised.pod), isUp(theirs.pod)]).toEqual([true, true]);
});

test("loopback DEL succeeds if the sandbox is gone, unnamed, or a stale mount point", () => {
  const sandbox = newSandbox();
  runner.add(list, sandbox);
  node.removePod(sandbox.pod);
  runner.del(list, sandbox);
  runner.del(list, { ...sandbox, netns: "" });
  node.sh("touch /run/netns/stale");
  runner.del(list, { ...sandbox, netns: "/run/netns/stale" });
  node.sh("rm /run/netns/stale");
});

test.each([
  ["lo that is down", "ip link set lo down", /link lo is down/],
  ["an address that is gone", "ip address del ::1/128 dev lo", /address ::1\/128 dev lo is missing/],
])("CHECK names %s", (_, harm, text) => {
  const newest = withVersion(list, "1.1.0");
  const sandbox = newSandbox();
  runner.add(newest, sandbox);
  runner.check(newest, sandbox);
  node.sh(harm, { in: sandbox.pod });
  expect(() => runner.check(newest, sandbox)).toThrow(text);
});

test("loopback after calico in a chain: ADD passes the result on and sets lo up, CHECK passes, DEL restores the node", () => {
  const before = snapshot(node);
  const calico = loadConflist(example("10-calico.conflist"));
  const [main, ...others] = calico.plugins;
  const chain: Conflist = { ...calico, plugins: [main as (typeof list.plugins)[0], { type: "loopback" }, ...others] };
  const sandbox = { ...newSandbox(), ifname: "eth0" };
  const result = runner.add(chain, sandbox);
  expect(result.interfaces?.map(({ name }) => name)).not.toContain("lo");
  expect(JSON.parse(runner.calls.at(-3)?.stdout ?? "")).toMatchObject({ interfaces: result.interfaces });
  expect(talks(sandbox.pod, "127.0.0.1")).toBe(true);
  runner.check(chain, sandbox);
  runner.status(chain);
  runner.gc(chain, [sandbox]);
  runner.check(chain, sandbox);
  runner.del(chain, sandbox);
  expect(leaks(diff(before, snapshot(node)))).toEqual([]);
});

test("loopback and calico run concurrently for one pod, as in containerd, without disturbing each other", async () => {
  const calico = loadConflist(example("10-calico.conflist"));
  for (let round = 0; round < 10; round++) {
    const sandbox = newSandbox();
    const script = [
      ["loopback", "lo", list],
      ["calico", "eth0", calico],
    ] as const;
    const commands = script.map(([type, ifname, { cniVersion, name, plugins }]) => {
      const stdin = JSON.stringify({ ...plugins[0], cniVersion, name });
      const env = `CNI_COMMAND=ADD CNI_CONTAINERID=${sandbox.containerId} CNI_NETNS=${sandbox.netns} CNI_IFNAME=${ifname} CNI_PATH=${ourPluginDir}`;
      return `(echo '${stdin}' | env ${env} ${ourPluginDir}/${type} >/run/.node/${type}) & ids="$ids $!"`;
    });
    node.sh(`${commands.join("\n")}\nfor id in $ids; do wait $id; done`);
    expect(talks(sandbox.pod, "127.0.0.1")).toBe(true);
    expect(node.sh("ip route", { in: sandbox.pod })).toContain("default via 169.254.1.1");
    node.sh(
      `${commands.join("\n").replaceAll("CNI_COMMAND=ADD", "CNI_COMMAND=DEL")}\nfor id in $ids; do wait $id; done`,
    );
    expect(isUp(sandbox.pod)).toBe(false);
    node.removePod(sandbox.pod);
  }
});
