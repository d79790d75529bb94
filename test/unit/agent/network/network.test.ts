/** The agent's network over a datastore in memory, with a program in place of `tortie-net` that notes what it is told. */
import { appendFileSync, chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Network } from "../../../../src/agent/network/network.ts";
import { NetworkStore } from "../../../../src/agent/network/network-store.ts";
import { Tunnels } from "../../../../src/agent/network/tunnels.ts";
import type { NodeResource } from "../../../../src/plan/node-plan.ts";
import type { Kind } from "../../../../src/store/object.ts";
import { create, driveAsync, read, update } from "../../../../src/store/transaction.ts";
import { FakeMachine, FakeSys } from "../../../lib/fake/sys.ts";
import { type MemoryDatastore, memoryDatastore } from "../memory-datastore.ts";
import { block, object } from "./cluster.ts";

/** Answers as `answer` says: a report, or `die`. Events are appended to `events`. */
const program = (directory: string) => `#!${process.execPath}
const fs = require("node:fs");
const directory = ${JSON.stringify(directory)};
const read = (name) => { try { return fs.readFileSync(directory + "/" + name, "utf8"); } catch { return ""; } };
let told = 0;
setInterval(() => {
  const events = read("events");
  process.stdout.write(events.slice(told));
  told = events.length;
}, 5);
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const answer = read("answer");
  if (answer === "die") process.exit(3);
  fs.appendFileSync(directory + "/requests", line + "\\n");
  const { version, id } = JSON.parse(line);
  const failures = answer === "" ? [] : JSON.parse(answer);
  process.stdout.write(JSON.stringify({ version, id, applied: 1, removed: [], failures, tunnels: [] }) + "\\n");
}).on("close", () => process.exit(0));
`;

interface Told {
  readonly plan?: { readonly resources: readonly NodeResource[] };
  readonly add?: readonly NodeResource[];
  readonly remove?: readonly NodeResource[];
}

let directory: string;
let datastore: MemoryDatastore;
let ending: AbortController;
let machine: FakeMachine;
let network: Network;
let state: string | undefined;
let lines: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tortie-network-"));
  writeFileSync(join(directory, "tortie-net"), program(directory));
  chmodSync(join(directory, "tortie-net"), 0o755);
  datastore = memoryDatastore();
  ending = new AbortController();
  machine = new FakeMachine();
  state = "";
  lines = [];
  put("IPPool", "p", { cidr: "10.0.0.0/16", blockSize: 26, vxlanMode: "Always" });
  // This node's address is one that every machine has.
  put("Node", "a", { bgp: { ipv4Address: "127.0.0.1/8" } });
  put("Node", "b", { bgp: { ipv4Address: "192.0.2.2/24" }, ipv4VXLANTunnelAddr: "10.0.1.0" });
  datastore.memory.objects.set("IPAMBlock/10-0-1-0-26", block("10.0.1.0/26", "b"));
});

afterEach(() => {
  ending.abort();
  rmSync(directory, { recursive: true });
});

function put(kind: Kind, name: string, spec: object): void {
  datastore.memory.put(kind, name, spec);
}

function begin({ program = join(directory, "tortie-net"), refreshMs = 0 } = {}): void {
  const note = (fields: object, message: string) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const log = { debug: note, info: note, warn: note };
  const { signal } = ending;
  const store = new NetworkStore(datastore, {
    node: "a",
    settings: {},
    onChange: () => {
      tunnels.poke();
      network.poke();
    },
    onTrouble: (error) => note({ error: error.message }, "trouble"),
  });
  const tunnels = new Tunnels(store, { node: "a", transactions: datastore.store, log, signal, hasIpv6: false });
  network = new Network(store, {
    ...{ node: "a", sys: new FakeSys({ machine }), log, signal, program, usesBgp: false, refreshMs },
    hasIpv6: false,
    onState: (reason) => {
      state = reason;
    },
  });
}

function told(): readonly Told[] {
  try {
    const text = readFileSync(join(directory, "requests"), "utf8");
    return text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Told);
  } catch {
    return [];
  }
}

const inPlace = () => expect.poll(() => state, { timeout: 5000 }).toBeUndefined();
const kinds = (all: readonly NodeResource[] = []) => all.map(({ kind }) => kind);

test("assigns the tunnel address, makes the plan, and tells it once", async () => {
  begin();
  expect(state).toContain("not in place yet");
  await inPlace();
  const whole = told().filter(({ plan }) => plan !== undefined);
  expect(whole).toHaveLength(1);
  const all = told().flatMap(({ plan, add = [] }) => [...(plan?.resources ?? []), ...add]);
  expect(kinds(all)).toEqual(expect.arrayContaining(["sysctl", "vxlan", "address", "neighbour", "fdb", "route"]));
  expect(machine.files.read("/var/lib/calico/mtu")).toEqual(expect.anything());
  expect(lines.filter((line) => line.startsWith("tunnel address assigned"))).toHaveLength(1);
});

test("tells only what changes", async () => {
  begin();
  await inPlace();
  const before = told().length;
  await driveAsync(
    create(object("Node", "c", { bgp: { ipv4Address: "192.0.2.3/24" }, ipv4VXLANTunnelAddr: "10.0.2.0" })),
    datastore.store,
  );
  await driveAsync(create(block("10.0.2.0/26", "c")), datastore.store);
  const later = () => told().slice(before);
  await expect
    .poll(() =>
      later()
        .flatMap(({ add }) => kinds(add))
        .sort(),
    )
    .toEqual(expect.arrayContaining(["fdb", "neighbour", "route"]));
  expect(later().every(({ plan, remove }) => plan === undefined && (remove ?? []).length === 0)).toBe(true);
});

test("a node's heartbeat and a pod's address tell nothing", async () => {
  begin();
  await inPlace();
  const before = told().length;
  const node = await driveAsync(read({ kind: "Node", name: "b" }), datastore.store);
  if (node === undefined) throw new Error("there is no node");
  await driveAsync(update({ ...node, spec: { ...(node.spec as object), heartbeat: 1 } }), datastore.store);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(told()).toHaveLength(before);
});

test("a process that ends is started again, and told everything", async () => {
  begin();
  await inPlace();
  const before = told().length;
  writeFileSync(join(directory, "answer"), "die");
  await driveAsync(create(block("10.0.2.0/26", "b")), datastore.store);
  await expect.poll(() => state).toContain("ended with exit code 3");
  rmSync(join(directory, "answer"));
  await inPlace();
  expect(told()[before]?.plan).toBeDefined();
});

test("a failure is reported, and everything is tried again", async () => {
  const failure = { what: "route x", error: { kind: "bug", name: "E", message: "no such device" } };
  writeFileSync(join(directory, "answer"), JSON.stringify([failure]));
  begin();
  await expect.poll(() => state).toBe("route x: no such device");
  rmSync(join(directory, "answer"));
  await inPlace();
  expect(told().filter(({ plan }) => plan !== undefined).length).toBeGreaterThan(1);
});

test("a program that is missing is named, with the setting", async () => {
  begin({ program: "/nonexistent/tortie-net" });
  await expect.poll(() => network.troubles()).toHaveLength(1);
  await expect.poll(() => state).toMatch(/"\/nonexistent\/tortie-net serve" cannot be started .*TORTIE_NET/);
});

test("everything is told again after the refresh interval", async () => {
  begin({ refreshMs: 50 });
  await expect
    .poll(() => told().filter(({ plan }) => plan !== undefined).length, { timeout: 15_000 })
    .toBeGreaterThan(2);
});

/** On an interface that every machine has. */
function putEndpoint(namespace: string, node: string, externalIP: string): void {
  const endpoint = object("WorkloadEndpoint", `${node}-k8s-web-eth0`, {
    ...{ node, orchestrator: "k8s", pod: "web", endpoint: "eth0", interfaceName: "lo" },
    ipNATs: [{ internalIP: "10.0.1.5", externalIP }],
  });
  const stored = { ...endpoint, metadata: { ...endpoint.metadata, namespace } };
  datastore.memory.objects.set(`WorkloadEndpoint/${namespace}/${node}`, stored);
}

test("floating IPs are followed while they are enabled, in every namespace, of this node alone", async () => {
  putEndpoint("one", "a", "198.51.100.1");
  putEndpoint("two", "a", "198.51.100.2");
  putEndpoint("one", "b", "198.51.100.3");
  begin();
  await inPlace();
  const floating = () =>
    told()
      .flatMap(({ plan, add = [] }) => [...(plan?.resources ?? []), ...add])
      .filter((one) => one.kind === "nft-elements" && one.set === "floating")
      .map((one) => (one.kind === "nft-elements" ? one.elements.map(({ key }) => key[0]) : []));
  expect(floating()).toEqual([]);
  const configuration = object("FelixConfiguration", "default", { floatingIPs: "Enabled" });
  await driveAsync(create(configuration), datastore.store);
  await expect.poll(floating).toEqual([["198.51.100.1", "198.51.100.2"]]);
  const stored = await driveAsync(read({ kind: "FelixConfiguration", name: "default" }), datastore.store);
  await driveAsync(update({ ...configuration, ...stored, spec: {} }), datastore.store);
  await expect
    .poll(() =>
      told()
        .at(-1)
        ?.remove?.map(({ kind }) => kind),
    )
    .toContain("nft-table");
});

test("tells plugins how packets leave the pools, once that is known", async () => {
  put("FelixConfiguration", "default", { natOutgoingExclusions: "IPPoolsAndHostIPs" });
  begin();
  expect(network.outgoing()).toBeUndefined();
  await inPlace();
  expect(network.outgoing()).toEqual({ exclusions: ["127.0.0.1", "192.0.2.2"] });
});

test("what was put back is logged", async () => {
  begin();
  await inPlace();
  const event = { event: "repaired", applied: 1, removed: [], failures: [], tunnels: [] };
  appendFileSync(join(directory, "events"), `${JSON.stringify(event)}\n`);
  await expect.poll(() => lines.join()).toContain("another program had changed the network");
});

test("nothing is planned before everything was listed", async () => {
  datastore.follow = () => ({ close: () => undefined });
  begin();
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(told()).toEqual([]);
  expect(state).toContain("not in place yet");
});
