import { beforeEach, describe, expect, test } from "vitest";
import { ownedIn } from "../../../plugins/calico/removal.ts";
import type { Sys } from "../../../src/host/sys.ts";
import type { RuleEntry } from "../../../src/netlink/rule.ts";
import { describeRule } from "../../../src/plan/describe.ts";
import { removeIdle } from "../../../src/plugin/endpoints.ts";
import { FakeNode } from "../../lib/fake/node.ts";

const conf = { ipam: { type: "calico-ipam" } };
const poolDirectory = "/var/lib/tortie/ippools";
const both = ["10.65.0.0/16", "10.66.0.0/24"];

let node: FakeNode;

beforeEach(() => {
  node = new FakeNode();
  for (const name of ["c1", "c2"]) node.sandbox(name);
});

function rules(): readonly string[] {
  return node.machine.kernel.host.rules.map(describeRule).sort();
}

/** The expected rules of a pool. */
function ranges(): readonly string[] {
  return node.machine.kernel.host.rules.flatMap(({ action, to }) => (action === "blackhole" ? [`${to}`] : []));
}

function pool(name: string, cidr: string, more: object = {}): void {
  node.machine.files.makeDirs(poolDirectory, 0o700);
  const object = {
    apiVersion: "crd.projectcalico.org/v1",
    kind: "IPPool",
    metadata: { name },
    spec: { cidr, ...more },
  };
  const path = `${poolDirectory}/${name}.json`;
  if (node.machine.files.list(poolDirectory).includes(`${name}.json`)) node.machine.files.removeFile(path);
  node.machine.files.create(path, JSON.stringify(object), 0o600);
}

function add(container: string, more: object = conf): string {
  const { status, json } = node.run("ADD", { container, conf: more });
  expect(status).toBe(0);
  return json.ips[0].address.replace(/\/.*/, "");
}

function gc(...containers: string[]): void {
  const valid = containers.map((containerID) => ({ containerID, ifname: "eth0" }));
  expect(node.run("GC", { conf: { ...conf, "cni.dev/valid-attachments": valid } }).status).toBe(0);
}

const from = (cidr: string) => ({ ipam: { type: "calico-ipam", ipv4_pools: [cidr] } });

test("calico ADD of a pool's first pod adds its rules, and DEL of the last removes them", () => {
  add("c1", { ipam: { type: "calico-ipam", assign_ipv6: "true", ipv4_pools: ["10.65.0.0/16"] } });
  const [v6 = ""] = ranges().filter((one) => one.includes(":"));
  expect(rules()).toEqual(
    [
      "from 10.65.0.0/16 to 10.65.0.0/16 lookup main suppress_prefixlength 0 pref 32001 proto 80",
      "from 10.65.0.0/16 to 10.65.0.0/16 blackhole pref 32002 proto 80",
      `from ${v6} to ${v6} lookup main suppress_prefixlength 0 pref 32001 proto 80`,
      `from ${v6} to ${v6} blackhole pref 32002 proto 80`,
    ].sort(),
  );
  const before = rules();
  add("c2", from("10.65.0.0/16"));
  expect(rules()).toEqual(before);
  node.run("DEL", { container: "c1", conf });
  expect(rules()).toEqual(before);
  node.run("DEL", { container: "c2", conf });
  expect(rules()).toEqual([]);
});

test.each([
  ["that is one address", "10.66.0.9/32", { blockSize: 32 }],
  ["that is one address of IPv6", "fd66::9/128", { blockSize: 128 }],
])("calico: a pool %s has none", (_, cidr, spec) => {
  pool("one", cidr, spec);
  const v6 = cidr.includes(":");
  add("c1", {
    ipam: {
      type: "calico-ipam",
      assign_ipv4: `${!v6}`,
      assign_ipv6: `${v6}`,
      [v6 ? "ipv6_pools" : "ipv4_pools"]: [cidr],
    },
  });
  expect(rules()).toEqual([]);
});

test("calico adds no rules for a disabled pool, even if a pod has one of its addresses, nor for a pool without pods", () => {
  pool("a", "10.65.0.0/16");
  pool("b", "10.66.0.0/24");
  add("c1", from("10.65.0.0/16"));
  expect(ranges()).toEqual(["10.65.0.0/16"]);
  pool("a", "10.65.0.0/16", { disabled: true });
  gc("c1");
  expect(rules()).toEqual([]);
  add("c1", from("10.65.0.0/16"));
  expect(rules()).toEqual([]);
});

test("calico adds no rules for addresses of a foreign IPAM plugin, even if a pool contains them, and neither does GC", () => {
  pool("a", "10.65.0.0/16");
  node.machine.files.create("/opt/cni/bin/other", "", 0o755);
  node.machine.programs.set("/opt/cni/bin/other", () => ({
    stdout: '{"cniVersion":"1.1.0","ips":[{"address":"10.65.9.5/24"}]}',
  }));
  const other = { ipam: { type: "other" } };
  add("c1", other);
  const valid = [{ containerID: "c1", ifname: "eth0" }];
  node.run("GC", { conf: { ...other, "cni.dev/valid-attachments": valid } });
  expect(rules()).toEqual([]);
});

describe("calico: foreign rules", () => {
  const others: readonly RuleEntry[] = [
    // With a priority of ours but another protocol; with our protocol but another priority.
    { family: 4, to: "10.65.0.0/16", action: "blackhole", priority: 32_002, protocol: 4 },
    { family: 4, to: "10.65.0.0/16", table: 77, priority: 1077, protocol: 80 },
  ];

  test("stay", () => {
    node.machine.kernel.host.rules.push(...others);
    add("c1");
    node.run("DEL", { container: "c1", conf });
    gc();
    expect(node.machine.kernel.host.rules).toEqual(others);
  });
});

test("calico CHECK names each missing rule, and GC and the next ADD restore it", () => {
  pool("a", "10.65.0.0/16");
  const { json } = node.run("ADD", { container: "c1", conf: from("10.65.0.0/16") });
  const whole = rules();
  const check = () => node.run("CHECK", { container: "c1", conf: { ...from("10.65.0.0/16"), prevResult: json } }).json;
  expect(check()).toBeUndefined();
  const { host } = node.machine.kernel;
  for (const gone of host.rules) {
    for (const repair of [() => gc("c1"), () => add("c1", from("10.65.0.0/16"))]) {
      host.rules = host.rules.filter((rule) => describeRule(rule) !== describeRule(gone));
      expect(check().msg).toContain(`rule ${describeRule(gone)} is missing`);
      repair();
      expect(rules()).toEqual(whole);
      expect(check()).toBeUndefined();
    }
  }
});

test("calico CHECK passes after a pool was split: the rules of the whole serve each part, until GC adds theirs", () => {
  pool("a", "10.65.0.0/24");
  const { json } = node.run("ADD", { container: "c1", conf });
  pool("a", "10.65.0.0/25");
  pool("b", "10.65.0.128/25");
  const check = () => node.run("CHECK", { container: "c1", conf: { ...conf, prevResult: json } }).json;
  expect(check()).toBeUndefined();
  expect(ranges()).toEqual(["10.65.0.0/24"]);
  gc("c1");
  expect(check()).toBeUndefined();
  expect(ranges()).toHaveLength(1);
  expect(ranges()[0]).toMatch(/\/25$/);
});

describe("calico GC", () => {
  test("removes the rules of a pool that is gone, and keeps another network's", () => {
    pool("a", "10.65.0.0/16");
    pool("b", "10.66.0.0/24");
    add("c1", from("10.65.0.0/16"));
    add("c2", { name: "net2", ...from("10.66.0.0/24") });
    expect([...ranges()].sort()).toEqual(both);
    gc("c1");
    expect([...ranges()].sort()).toEqual(both);
    node.machine.files.removeFile(`${poolDirectory}/a.json`);
    gc("c1");
    expect(ranges()).toEqual(["10.66.0.0/24"]);
  });

  test("leaves all as it is where a pool cannot be read", () => {
    pool("a", "10.65.0.0/16");
    add("c1", from("10.65.0.0/16"));
    const before = rules();
    node.machine.files.write(`${poolDirectory}/a.json`, "{");
    node.run("GC", { conf: { ...conf, "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] } });
    expect(rules()).toEqual(before);
  });

  test("removes what a DEL left that was killed", () => {
    add("c1");
    const left = [...node.machine.kernel.host.rules];
    node.run("DEL", { container: "c1", conf });
    node.machine.kernel.host.rules.push(...left);
    gc();
    expect(rules()).toEqual([]);
  });
});

test("calico DEL of the last pod removes the rules of pools that were deleted meanwhile", () => {
  pool("a", "10.65.0.0/16");
  add("c1", from("10.65.0.0/16"));
  node.machine.files.removeFile(`${poolDirectory}/a.json`);
  expect(node.run("DEL", { container: "c1", conf }).status).toBe(0);
  expect(rules()).toEqual([]);
});

test.each([1, 2])("calico: an ADD that comes at message %i of the last DEL keeps its rules", (at) => {
  pool("a", "10.65.0.0/16");
  add("c1", from("10.65.0.0/16"));
  const before = rules();
  node.machine.files.removeFile("/run/tortie/endpoints/net1:c1:eth0.json");
  // The first message requests the rules, the second removes them.
  removeIdle(
    ownedIn({}),
    interrupted(at, () => add("c2", from("10.65.0.0/16"))),
  );
  expect(rules()).toEqual(before);
});

/** A process on the machine with a hook before a message about rules. */
function interrupted(at: number, happens: () => void): Sys {
  const sys = node.process({}, "");
  const open = sys.openNetlink.bind(sys);
  let sent = 0;
  sys.openNetlink = (...where) => {
    const socket = open(...where);
    if (where[0] !== "route") return socket;
    return {
      ...socket,
      receive: (timeoutMs) => socket.receive(timeoutMs),
      close: () => socket.close(),
      send(datagram) {
        if (++sent === at) happens();
        socket.send(datagram);
      },
    };
  };
  return sys;
}
