import { beforeEach, describe, expect, test } from "vitest";
import { type Call, FakeNode } from "../../lib/fake/node.ts";

let node: FakeNode;
/** The result of `calico` for container c1. */
let prevResult: Record<string, unknown>;
/** The node's state with the pod, before its limits. */
let unlimited: string;

const both = { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 2e6, egressBurst: 1e6 };

beforeEach(() => {
  node = new FakeNode();
  for (const name of ["c1", "c2"]) node.sandbox(name);
  prevResult = node.run("ADD").json;
  unlimited = node.state();
});

function run(command: string, conf: object = both, call: Call = {}) {
  return node.run(command, { ...call, plugin: "bandwidth", conf: { prevResult, ...conf } });
}

describe("bandwidth ADD", () => {
  test("passes the result on and adds the ifb to it", () => {
    const { status, json } = run("ADD");
    expect(status).toBe(0);
    const { interfaces, ...rest } = prevResult;
    expect(json).toMatchObject(rest);
    expect(json.interfaces).toEqual([
      ...(interfaces as object[]),
      { name: expect.stringMatching(/^bwp[0-9a-f]{12}$/), mac: expect.any(String) },
    ]);
  });

  test("without limits passes the result on as it came, unknown keys too, and touches nothing", () => {
    const odd = { ...prevResult, "example.org/x": { y: 1 } };
    expect(run("ADD", { prevResult: odd }).json).toEqual(odd);
    expect(node.state()).toBe(unlimited);
  });

  test("repeated changes nothing and does not list the ifb twice", () => {
    const first = run("ADD").json;
    const state = node.state();
    expect(run("ADD", { ...both, prevResult: first }).json).toEqual(first);
    expect(node.state()).toBe(state);
  });

  test("for a second interface gets an ifb of its own, and DEL of one leaves the other", () => {
    const first = run("ADD").json;
    const second = node.run("ADD", { ifname: "net1" }).json;
    const state = node.state();
    const limited = run("ADD", { ...both, prevResult: second }, { ifname: "net1" });
    expect(limited.status).toBe(0);
    run("DEL", both, { ifname: "net1" });
    expect(run("CHECK", { ...both, prevResult: first }).json).toBeUndefined();
    expect(state).toContain(first.interfaces[2].name);
  });

  test.each([
    ["without a prevResult", { prevResult: undefined }, 7, "must be a chained plugin"],
    ["without interfaces in it", { prevResult: { cniVersion: "1.1.0", ips: [] } }, 100, "no interfaces provided"],
    [
      "with other interfaces in it",
      { prevResult: { cniVersion: "1.1.0", interfaces: [{ name: "veth1" }] } },
      100,
      "is not among the host's interfaces in prevResult",
    ],
  ])("%s is an error that says so", (_, conf, code, text) => {
    expect(run("ADD", { ...both, ...conf }).json).toMatchObject({ code, msg: expect.stringContaining(text) });
    expect(node.state()).toBe(unlimited);
  });
});

test("bandwidth ADD raises a burst smaller than a packet and logs it, and CHECK passes", () => {
  const small = { ...both, ingressBurst: 8000, log_file_path: "/tmp/cni.log" };
  const { json } = run("ADD", small);
  const lines = node.machine.files.read("/tmp/cni.log").trim().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    {
      level: 40,
      msg: expect.stringContaining("raised to the size of a packet"),
      direction: "ingress",
      askedBits: 8000,
      burstBits: 12144,
      mtu: 1500,
    },
  ]);
  expect(run("CHECK", { ...small, prevResult: json })).toMatchObject({ status: 0, json: undefined });
});

describe("bandwidth CHECK", () => {
  test("is silent right after ADD, and names a limit that is another now", () => {
    const { json } = run("ADD");
    expect(run("CHECK", { ...both, prevResult: json })).toMatchObject({ status: 0, json: undefined });
    expect(run("CHECK", { ...both, ingressRate: 8e6, prevResult: json }).json).toMatchObject({
      code: 101,
      msg: expect.stringMatching(/tbf.*125000.*1000000/),
    });
  });
});

describe("bandwidth DEL", () => {
  test.each([
    ["as a runtime calls it", {}],
    ["without prevResult and sandbox", { prevResult: undefined }],
    ["without a valid configuration", { ingressRate: "fast" }],
  ])("%s removes the ifb", (_, conf) => {
    const ifb = run("ADD").json.interfaces[2].name;
    expect(run("DEL", conf, { sandbox: undefined })).toMatchObject({ status: 0, json: undefined });
    expect(node.state()).not.toContain(`link ${ifb}`);
    expect(run("DEL", conf).status).toBe(0);
  });
});

describe("bandwidth GC", () => {
  test("removes the ifb of what is not valid and leaves interfaces to their own plugin", () => {
    const ifb = run("ADD").json.interfaces[2].name;
    expect(run("GC", { "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] }).status).toBe(0);
    expect(node.state()).toContain(ifb);
    expect(run("GC", { "cni.dev/valid-attachments": [] }).status).toBe(0);
    expect(node.state()).not.toContain(`link ${ifb}`);
    expect(node.state()).toContain((prevResult.interfaces as { name: string }[])[0]?.name);
  });
});

test("bandwidth STATUS is silent on a kernel that has ifb and tbf", () => {
  expect(run("STATUS")).toMatchObject({ status: 0, json: undefined });
});
