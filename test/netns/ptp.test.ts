/** `ptp` on a real kernel, compared with Debian's Go plugin of the same name. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Conflist, parseConflist, withVersion } from "../lib/conflist.ts";
import { leaks } from "../lib/node/kept.ts";
import { Node, nodeAddress4, outsideAddress4 } from "../lib/node/netns.ts";
import { diff, snapshot } from "../lib/node/snapshot.ts";
import { ask, ping, serve } from "../lib/node/traffic.ts";
import { mixture } from "../lib/runtimes/mixture.ts";
import { addressOf, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { requireBuild } from "../lib/suite.ts";

const ranges = [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd09::/64" }]];
const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
const ipam = { type: "host-local", ranges, routes, dataDir: "/run/cni/networks" };

let node: Node;
let ours: Runner;
let theirs: Runner;
let pods = 0;

beforeAll(async () => {
  requireBuild();
  node = await Node.start();
  ours = new Runner({ node, pluginDirs: [mixture(node, "ours")] });
  theirs = new Runner({ node, pluginDirs: [mixture(node, "theirs", ["ptp"])] });
});

afterAll(async () => {
  await node?.stop();
});

function listOf(more: object, version = "1.0.0"): Conflist {
  const plugins = [{ type: "ptp", ipam, ...more }];
  return withVersion(parseConflist(JSON.stringify({ cniVersion: version, name: "net1", plugins })), version);
}

function newPod(): Sandbox & { readonly pod: string } {
  const pod = `pod${++pods}`;
  return { pod, containerId: `${pod}-0a1b`, netns: node.addPod(pod), ifname: "eth0" };
}

/** host-local's own files. */
function left(before: string): readonly string[] {
  return leaks(diff(before, snapshot(node))).filter((line) => !/ file \/run\/cni\//.test(line));
}

/** Addresses and routes of both ends, without values that differ between pods. */
function shapeOf(pod: string): readonly string[] {
  const inside = node.sh("ip -br address show dev eth0; ip route; ip -6 route | grep -v fe80", { in: pod });
  const outside = node.sh("ip -br address | grep ^veth; ip route | grep veth; ip -6 route | grep veth | grep -v fe80");
  const plain = `${inside}\n${outside}`
    .replace(/(veth[0-9a-f]{8}|eth0)@\w+/g, "$1")
    .replace(/veth[0-9a-f]{8}/g, "VETH")
    .replace(/10\.9\.0\.[1-9]\d*/g, "IP")
    .replace(/fd09::[1-9a-f][0-9a-f]*/g, "IP6")
    .replace(/fe80\S*/g, "");
  return plain
    .split("\n")
    .map((line) => line.replace(/ +/g, " ").trim())
    .filter((line) => line !== "")
    .sort();
}

// Debian's host-local supports versions up to 1.0.0.
describe.each(["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0"])("ptp in cniVersion %s", (version) => {
  test("ADD carries traffic of both families, CHECK agrees, DEL leaves nothing", () => {
    const before = snapshot(node);
    const list = listOf({ ipMasq: true, mtu: 1400 }, version);
    const pod = newPod();
    const result = ours.add(list, pod);
    expect(result.cniVersion).toBe(version);
    const text = JSON.stringify(result);
    const [address4, address6] = [/10\.9\.0\.\d+/.exec(text)?.[0] ?? "", /fd09::[0-9a-f]+/.exec(text)?.[0] ?? ""];
    for (const address of [address4, address6]) expect(ping(node, undefined, address)).toBe(true);
    expect(node.sh("cat /sys/class/net/eth0/mtu", { in: pod.pod })).toContain("1400");
    serve(node, "outside", 8000);
    expect(ask(node, pod.pod, outsideAddress4, 8000)).toBe(`outside sees ${nodeAddress4}`);
    if (version >= "0.4.0") ours.check(list, pod);
    ours.del(list, pod);
    ours.del(list, pod);
    node.removePod(pod.pod);
    expect(left(before)).toEqual([]);
  });
});

test("ptp ADD creates the same kernel objects as Go's ptp", () => {
  const list = listOf({});
  const shapes = [theirs, ours].map((runner) => {
    const pod = newPod();
    runner.add(list, pod);
    const shape = shapeOf(pod.pod);
    runner.del(list, pod);
    node.removePod(pod.pod);
    return shape;
  });
  expect(shapes[1]).toEqual(shapes[0]);
  expect(shapes[0]).toContain("IP dev eth0 scope link src IP");
});

test.each([
  ["Go's ptp", "ours", () => [theirs, ours] as const],
  ["our ptp", "Go's", () => [ours, theirs] as const],
])("what %s added, %s checks and deletes", (_maker, _other, runners) => {
  const [maker, other] = runners();
  const list = listOf({});
  const before = snapshot(node);
  const pod = newPod();
  const result = maker.add(list, pod);
  expect(ping(node, undefined, addressOf(result))).toBe(true);
  other.check(list, pod);
  other.del(list, pod);
  expect(node.sh("ip -br link | grep -c ^veth || true").trim()).toBe("0");
  node.removePod(pod.pod);
  // Only our plugins remove the record of our ADD.
  expect(left(before).filter((line) => !line.includes("/run/tortie/parts/"))).toEqual([]);
  ours.del(list, pod);
  expect(left(before)).toEqual([]);
});

test("ptp CHECK names objects that were deleted on either side", () => {
  const list = listOf({ ipMasq: true });
  const pod = newPod();
  const address = addressOf(ours.add(list, pod));
  node.sh("ip route del default", { in: pod.pod });
  expect(() => ours.check(list, pod)).toThrow(
    /route default via 10\.9\.0\.1 .*is missing|route 0\.0\.0\.0\/0 .*is missing/,
  );
  node.sh("ip route add default via 10.9.0.1", { in: pod.pod });
  ours.check(list, pod);
  node.sh("nft flush map ip tortie_ptp sources");
  expect(() => ours.check(list, pod)).toThrow(/sources/);
  node.sh(`nft add element ip tortie_ptp sources "{ ${address} : jump to_10.9.0.0/24 }"`);
  ours.del(list, pod);
  node.removePod(pod.pod);
});

test("ptp DEL without sandbox and result removes everything, including masquerading", () => {
  const list = listOf({ ipMasq: true });
  const before = snapshot(node);
  const pod = newPod();
  ours.add(list, pod);
  expect(node.sh("nft list tables")).toContain("tortie_ptp");
  node.removePod(pod.pod);
  ours.forget();
  ours.del(list, { ...pod, netns: "" });
  expect(left(before)).toEqual([]);
});

test("ptp leaves a foreign interface alone", () => {
  const pod = newPod();
  node.sh("ip link add eth0 type veth peer name other", { in: pod.pod });
  const list = listOf({});
  expect(() => ours.add(list, pod)).toThrow(/eth0/);
  ours.del(list, pod);
  expect(node.sh("ip -br link show eth0", { in: pod.pod })).toContain("eth0");
  node.removePod(pod.pod);
});

test("ptp takes over the masquerading of an address whose earlier container is gone, and that one's late DEL leaves it", () => {
  const before = snapshot(node);
  const list = listOf({
    ipMasq: true,
    ipam: { type: "static", addresses: [{ address: "10.8.0.5/24", gateway: "10.8.0.1" }], routes },
  });
  const [first, second] = [newPod(), newPod()];
  ours.add(list, first);
  node.removePod(first.pod);
  ours.add(list, second);
  ours.check(list, second);
  ours.del(list, { ...first, netns: "" });
  ours.check(list, second);
  ours.del(list, second);
  node.removePod(second.pod);
  expect(left(before)).toEqual([]);
});

test("concurrent DELs of ptp remove the table with its last container", async () => {
  const before = snapshot(node);
  const list = listOf({ ipMasq: true });
  const sandboxes = Array.from({ length: 12 }, newPod);
  for (const sandbox of sandboxes) ours.add(list, sandbox);
  const request = { cniVersion: "1.0.0", name: "net1", ...list.plugins[0] };
  const calls = await Promise.all(sandboxes.map((sandbox) => ours.tryExecBeside("DEL", "ptp", request, sandbox)));
  expect(calls.filter(({ status }) => status !== 0)).toEqual([]);
  for (const { pod } of sandboxes) node.removePod(pod);
  expect(node.sh("nft list tables")).not.toContain("tortie_ptp");
  expect(left(before)).toEqual([]);
});
