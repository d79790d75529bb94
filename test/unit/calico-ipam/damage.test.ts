/** Files that were emptied, truncated or edited between two calls of the plugin. */
import { beforeEach, describe, expect, test } from "vitest";
import calicoIpam from "../../../plugins/calico-ipam/main.ts";
import { writeEndpoint } from "../../../src/endpoint/endpoint.ts";
import { exitCodeOf } from "../../../src/plugin/run.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

const blocks = "/run/tortie/ipam/blocks";
const handles = "/run/tortie/ipam/handles";
let machine: FakeMachine;
let netns: string;

beforeEach(() => {
  machine = new FakeMachine();
  netns = machine.addSandbox("pod");
  put("/var/lib/tortie/ippools", "p.json", {
    apiVersion: "projectcalico.org/v3",
    kind: "IPPool",
    metadata: { name: "p" },
    spec: { cidr: "10.0.0.0/29", blockSize: 30 },
  });
});

const damages: readonly (readonly [string, (text: string) => string])[] = [
  ["empty", () => ""],
  ["torn", (text) => text.slice(0, text.length / 2)],
  ["no JSON", () => "\u0000\u0000\u0000"],
  ["another object", () => '{"kind":"IPAMBlock","metadata":{"name":"x"},"spec":{}}'],
  ["without lists", (text) => text.replace('"unallocated"', '"unalocated"')],
];

describe.each(damages)("calico-ipam: a block's file that is %s", (_, damage) => {
  test("is set aside and rebuilt of endpoints by the next ADD, and no address has two owners", () => {
    const [a, b] = [add("a"), add("b")];
    const [file = ""] = blockFiles();
    record("a", a);
    const before = machine.files.read(`${blocks}/${file}`);
    machine.files.replace(`${blocks}/${file}`, damage(before), 0o600);
    const later = ["c", "d", "e", "f"].map(add);
    expect(new Set([a, b, ...later]).size).toBe(6);
    expect(aside(blocks)).toEqual([expect.stringContaining(`${file}.damaged-`)]);
    expect(machine.files.read(`${blocks}/${aside(blocks)[0]}`)).toBe(damage(before));
    expect(add("a")).toBe(a);
  });

  test("does not keep DEL from its end", () => {
    add("a");
    const [file = ""] = blockFiles();
    machine.files.replace(`${blocks}/${file}`, damage(machine.files.read(`${blocks}/${file}`)), 0o600);
    expect(run("DEL", "a")).toBeUndefined();
    expect(machine.files.list(handles).filter((name) => name.startsWith("net.a"))).toEqual([]);
  });
});

describe.each([
  ["empty", ""],
  ["torn", '{"kind":'],
  ["no handle", '{"kind":"IPAMHandle","metadata":{"name":"net.a"},"spec":{}}'],
])("calico-ipam: a handle's file that is %s", (_, text) => {
  test("is rebuilt of the blocks: a repeated ADD answers the same, and DEL releases", () => {
    const address = add("a");
    machine.files.replace(`${handles}/net.a.json`, text, 0o600);
    expect(add("a")).toBe(address);
    machine.files.replace(`${handles}/net.a.json`, text, 0o600);
    expect(run("DEL", "a")).toBeUndefined();
    expect(JSON.parse(machine.files.read(`${blocks}/${blockFiles()[0]}`)).spec.attributes).toEqual([]);
    expect(aside(handles)).toHaveLength(2);
  });
});

test.each(["", '{"kind":', '{"kind":"IPAMCursor","metadata":{"name":"x"},"spec":{}}'])(
  "a cursor's file that is %j is set aside, and costs nobody an address",
  (text) => {
    const addresses = ["a", "b"].map(add);
    const cursors = "/run/tortie/ipam/cursors";
    const [file = ""] = machine.files.list(cursors);
    machine.files.replace(`${cursors}/${file}`, text, 0o600);
    const later = ["c", "d", "e", "f"].map(add);
    expect(new Set([...addresses, ...later]).size).toBe(6);
    expect(aside(cursors)).toEqual([expect.stringContaining(`${file}.damaged-`)]);
  },
);

test("calico-ipam does not assign an allocated ordinal that is also listed in unallocated", () => {
  const a = add("a");
  const path = `${blocks}/${blockFiles()[0]}`;
  const block = JSON.parse(machine.files.read(path));
  block.spec.unallocated.unshift(0);
  machine.files.replace(path, JSON.stringify(block), 0o600);
  expect(["b", "c", "d"].map(add)).not.toContain(a);
  expect(aside(blocks)).toHaveLength(1);
});

test("calico-ipam GC repairs an unreadable handle and releases its addresses", () => {
  add("a");
  machine.files.replace(`${handles}/net.a.json`, "", 0o600);
  expect(run("GC", "")).toBeUndefined();
  expect(JSON.parse(machine.files.read(`${blocks}/${blockFiles()[0]}`)).spec.attributes).toEqual([]);
});

test("calico-ipam leaves an unreadable pool for an operator to repair", () => {
  machine.files.replace("/var/lib/tortie/ippools/p.json", "{", 0o600);
  put("/var/lib/tortie/ippools", "q.json", {
    apiVersion: "projectcalico.org/v3",
    kind: "IPPool",
    metadata: { name: "q" },
    spec: { cidr: "10.9.0.0/24" },
  });
  expect(add("a")).toMatch(/^10\.9\.0\./);
  expect(machine.files.read("/var/lib/tortie/ippools/p.json")).toBe("{");
});

function blockFiles(): readonly string[] {
  return machine.files.list(blocks).filter((name) => name.endsWith(".json"));
}

function aside(directory: string): readonly string[] {
  return machine.files.list(directory).filter((name) => name.includes(".damaged-"));
}

function add(container: string): string {
  const answer = run("ADD", container) as {
    readonly ips?: readonly { readonly address: string }[];
    readonly msg?: string;
  };
  expect(answer.msg).toBeUndefined();
  return answer.ips?.[0]?.address ?? "";
}

function run(command: string, container: string): unknown {
  const sandbox = { CNI_CONTAINERID: container, CNI_IFNAME: "eth0", CNI_NETNS: netns };
  const sys = new FakeSys({
    machine,
    args: ["/opt/cni/bin/calico-ipam"],
    environment: { CNI_COMMAND: command, CNI_PATH: "/opt/cni/bin", ...(command === "GC" ? {} : sandbox) },
    stdin: JSON.stringify({
      cniVersion: "1.1.0",
      name: "net",
      type: "calico",
      ipam: { type: "calico-ipam" },
      ...(command === "GC" && { "cni.dev/valid-attachments": [] }),
    }),
  });
  exitCodeOf(calicoIpam, sys);
  return sys.stdout === "" ? undefined : JSON.parse(sys.stdout);
}

function record(containerId: string, address: string): void {
  writeEndpoint(new FakeSys({ machine }), {
    attachment: { network: "net", containerId, ifname: "eth0" },
    node: "node-1",
    pod: undefined,
    hostInterface: "cali1",
    mac: "ee:ee:ee:ee:ee:ee",
    addresses: [address.replace(/\/.*/, "/32")],
    netns,
  });
}

function put(directory: string, name: string, object: unknown): void {
  machine.files.makeDirs(directory, 0o755);
  machine.files.create(`${directory}/${name}`, JSON.stringify(object), 0o644);
}
