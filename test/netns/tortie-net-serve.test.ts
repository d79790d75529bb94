/** `tortie-net serve` on the real kernel: requests, events, and what it puts back; a thousand nodes. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { NodePlan, NodeResource } from "../../src/plan/node-plan.ts";
import { Node, nodeAddress4 } from "../lib/node/netns.ts";
import { device, macOf, NetServer, ownDevice, peer, scopes } from "../lib/node/tortie-net.ts";
import { requireBuild } from "../lib/suite.ts";

const uplink = "uplink";
const plan: NodePlan = { resources: [...ownDevice(1, uplink, nodeAddress4), ...peer(2, "203.0.113.20")], scopes };

let node: Node;
let server: NetServer;

beforeAll(requireBuild);
beforeAll(async () => {
  node = await Node.start("node");
});
beforeEach(async () => {
  server = new NetServer(node);
  await server.ask({ plan: { resources: [], scopes } });
  server.events.length = 0;
  return () => server.end();
});
afterAll(() => node?.stop());

test("answers each request in its order, with its number, and goes on after one that it cannot read", async () => {
  const [one, two, three] = await Promise.all([
    server.send('{"version":1,"id":1,"plan":{"resources":[],"scopes":[]}}\n{"versi'),
    server.send('on":1,"id":2,"plan":[]}\n'),
    server.send('{"version":1,"id":3,"add":[],"remove":[]}\n'),
  ]);
  expect(one).toMatchObject({ version: 1, id: 1, applied: 0 });
  expect(two).toMatchObject({ version: 1, id: 2, error: { name: "BadRequest" }, versions: [1] });
  expect(three).toMatchObject({ version: 1, id: 3, applied: 0 });
});

test("a change before any plan is refused", async () => {
  const fresh = new NetServer(node);
  expect(await fresh.ask({ add: [], remove: [] })).toMatchObject({
    error: { message: "cannot read the request: there is no plan to change" },
  });
  expect(await fresh.end()).toBe(0);
});

test("says nothing of its own changes, and tells those of links and addresses", async () => {
  await server.ask({ plan });
  node.sh("ip link add told0 mtu 1300 type ifb; ip address add 192.0.2.7/32 dev told0; ip link del told0");
  await server.event((one) => one.event === "link" && one.change === "gone");
  expect(server.events.filter(({ event }) => event !== "link" && event !== "address")).toEqual([]);
  const told = server.events.filter((one) => JSON.stringify(one).includes("told0"));
  expect(told).toMatchObject([
    { event: "link", change: "new", name: "told0", mtu: 1300, up: false },
    { event: "address", change: "new", link: "told0", address: "192.0.2.7/32" },
    { event: "address", change: "gone", link: "told0", address: "192.0.2.7/32" },
    { event: "link", change: "gone", name: "told0" },
  ]);
});

test.each<[string, string, string]>([
  ["a route", "ip route del 10.65.2.0/26", "ip route show 10.65.2.0/26"],
  ["a blackhole", "ip route del blackhole 10.65.1.0/26", "ip route show 10.65.1.0/26"],
  ["a neighbour", `ip neighbour del 10.65.2.1 dev ${device}`, `ip neighbour show 10.65.2.1 dev ${device}`],
  ["an FDB entry", `bridge fdb del ${macOf(2)} dev ${device}`, `bridge fdb show dev ${device}`],
  ["an address", `ip address del 10.65.1.1/32 dev ${device}`, `ip -br address show ${device} | cut -d/ -f1`],
  ["a device", `ip link del ${device}`, `ip route show dev ${device}`],
  ["a device that was set down", `ip link set ${device} down`, `ip route show dev ${device}`],
  ["an MTU", `ip link set ${device} mtu 1300`, `ip -o link show ${device} | grep -o "mtu [0-9]*"`],
])("puts back %s at once", async (_, command, look) => {
  await server.ask({ plan });
  const before = node.sh(look);
  const start = performance.now();
  node.sh(command);
  await server.event(({ event }) => event === "repaired");
  expect(performance.now() - start).toBeLessThan(5000);
  expect(node.sh(look)).toBe(before);
  expect(await server.ask({ plan })).toMatchObject({ applied: 0, removed: [], failures: [] });
});

test("leaves a route that it does not know to the next plan", async () => {
  await server.ask({ plan });
  node.sh("ip route add blackhole 10.65.9.0/26 proto 80; ip route del 10.65.2.0/26");
  await server.event(({ event }) => event === "repaired");
  expect(node.sh("ip route show 10.65.9.0/26")).toContain("blackhole");
  expect(await server.ask({ plan })).toMatchObject({ removed: ["route blackhole 10.65.9.0/26 proto 80"] });
});

test("tries again when the uplink has come, and when a foreign route has gone", async () => {
  const late = { ...plan, resources: [...ownDevice(1, "late0", nodeAddress4), ...peer(2, "203.0.113.20")] };
  expect((await server.ask({ plan: late })).failures.length).toBeGreaterThan(0);
  node.sh("ip link add late0 type veth peer name later; ip link set late0 up");
  await server.event((one) => one.event === "repaired" && one.failures.length === 0);
  expect(await server.ask({ plan })).toMatchObject({ failures: [] });
  node.sh("ip link del late0");
  server.events.length = 0;
  await server.ask({ add: [], remove: peer(2, "203.0.113.20") });
  node.sh("ip route add 10.65.2.0/26 via 203.0.113.2");
  expect((await server.ask({ add: peer(2, "203.0.113.20"), remove: [] })).failures).toMatchObject([
    { error: { name: "ConflictError" } },
  ]);
  server.events.length = 0;
  node.sh("ip route del 10.65.2.0/26 via 203.0.113.2");
  await server.event((one) => one.event === "repaired" && one.applied === 1 && one.failures.length === 0);
  expect(node.sh("ip route show 10.65.2.0/26")).toContain(`dev ${device}`);
});

test("a thousand nodes within two seconds, one more within 50 ms of CPU", { timeout: 60_000 }, async () => {
  const addressOf = (number: number) => `203.0.${113 + (number >> 8)}.${number & 255}`;
  const one = (number: number): readonly NodeResource[] => {
    const [high, low] = [number >> 8, number & 255];
    const mac = `66:00:00:00:${high.toString(16).padStart(2, "0")}:${low.toString(16).padStart(2, "0")}`;
    const address = `10.${70 + high}.${low}.1`;
    const at = "host";
    return [
      { kind: "neighbour", at, link: device, address, mac },
      { kind: "fdb", at, link: device, mac, destination: addressOf(number) },
      {
        ...{ kind: "route", at, link: device, destination: `10.${70 + high}.${low}.0/26` },
        ...{ gateway: address, onlink: true, mtu: 1400 },
      },
    ];
  };
  const numbers = Array.from({ length: 1000 }, (_, number) => number);
  const resources = [...ownDevice(1, uplink, nodeAddress4), ...numbers.flatMap(one)];
  const start = performance.now();
  expect(await server.ask({ plan: { resources, scopes } })).toMatchObject({ applied: 3003, failures: [] });
  const all = performance.now() - start;
  // Adding the device has touched the uplink, so that everything is compared once.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const [then, cpuBefore] = [performance.now(), cpuMs()];
  server.events.length = 0;
  expect(await server.ask({ add: one(1001), remove: [] })).toMatchObject({ applied: 3, failures: [] });
  const more = performance.now() - then;
  // What it still does after its answer counts as well.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(server.events.filter(({ event }) => event !== "address")).toEqual([]);
  process.stderr.write(
    `1,000 nodes: ${Math.round(all)} ms; one more: ${more.toFixed(1)} ms, ${cpuMs() - cpuBefore} ms of CPU\n`,
  );
  expect(all).toBeLessThan(2000);
  expect(cpuMs() - cpuBefore).toBeLessThanOrEqual(50);
  expect(Number(node.sh(`ip route show dev ${device} | wc -l`))).toBe(1001);
  expect((await server.ask({ plan: { resources: [], scopes } })).removed.length).toBeGreaterThan(3000);
});

/** User and system time of the server, in milliseconds, by the kernel's hundredths of seconds. */
function cpuMs(): number {
  const fields = readFileSync(`/proc/${server.child.pid}/stat`, "utf8").replace(/.*\) /, "").split(" ");
  return 10 * (Number(fields[11]) + Number(fields[12]));
}
