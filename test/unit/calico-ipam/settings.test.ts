/** Settings that a person wrote: an invalid one is refused with its file, its key, the expected and the actual value. */
import { beforeEach, describe, expect, test } from "vitest";
import calicoIpam from "../../../plugins/calico-ipam/main.ts";
import { exitCodeOf } from "../../../src/plugin/run.ts";
import { FakeMachine, FakeSys } from "../../lib/fake/sys.ts";

const state = "/var/lib/tortie";
let machine: FakeMachine;
let netns: string;

beforeEach(() => {
  machine = new FakeMachine();
  netns = machine.addSandbox("pod");
});

describe("calico-ipam: a pool's file", () => {
  test.each<[object, string]>([
    [{ blockSize: "abc" }, 'its spec.blockSize is "abc", want an integer'],
    [{ blockSize: 26.5 }, "its spec.blockSize is 26.5, want an integer"],
    [{ nodeSelector: 5 }, "its spec.nodeSelector is 5, want a string"],
    [{ nodeSelector: "rack = 1" }, 'its spec.nodeSelector is "rack = 1", want a selector'],
    [{ namespaceSelector: ["a"] }, 'its spec.namespaceSelector is ["a"], want a string'],
    [{ disabled: "true" }, 'its spec.disabled is "true", want a boolean'],
    [{ natOutgoing: 1 }, "its spec.natOutgoing is 1, want a boolean"],
    [{ allowedUses: "Tunnel" }, 'its spec.allowedUses is "Tunnel", want an array'],
    [{ allowedUses: ["Tunel"] }, 'its spec.allowedUses[0] is "Tunel", want "Workload" or "Tunnel" or "LoadBalancer"'],
    [{ assignmentMode: "manual" }, 'its spec.assignmentMode is "manual", want "Automatic" or "Manual"'],
    [{ cidr: undefined }, "its spec.cidr is missing, want a string"],
  ])("with %j answers 103", (change, reason) => {
    put("ippools/p.json", "IPPool", "p", { cidr: "10.0.0.0/24", ...change });
    expect(run("ADD")).toMatchObject({ code: 103, msg: expect.stringContaining(reason) });
    expect(run("ADD")).toMatchObject({ msg: expect.stringContaining('IPPool "p"') });
    expect(run("STATUS")).toMatchObject({ code: 50, msg: expect.stringContaining(reason) });
  });

  test.each<[object, string]>([
    [{ blockSize: 99 }, "its spec.blockSize is 99, want 20 to 32"],
    [{ cidr: "10.0.0.0" }, 'its spec.cidr is "10.0.0.0", want a CIDR'],
  ])("of the right types with %j is told of where no other pool gives", (change, reason) => {
    put("ippools/p.json", "IPPool", "p", { cidr: "10.0.0.0/24", ...change });
    expect(run("ADD")).toMatchObject({ code: 102, msg: expect.stringContaining(reason) });
    expect(run("STATUS")).toMatchObject({ code: 50, msg: expect.stringContaining(reason) });
  });

  test("is named with its path where its types are wrong", () => {
    put("ippools/p.json", "IPPool", "p", { cidr: "10.0.0.0/24", disabled: "true" });
    const msg = `cannot use IPPool "p": "${state}/ippools/p.json": its spec.disabled is "true", want a boolean`;
    expect(run("ADD")).toMatchObject({ msg });
  });

  test("keeps unknown keys", () => {
    put("ippools/p.json", "IPPool", "p", { cidr: "10.0.0.0/24", later: { version: 4 } });
    expect(run("ADD")).toMatchObject({ ips: [{ address: expect.stringMatching(/^10\.0\.0\./) }] });
  });
});

describe.each<[string, string, string, object, string]>([
  [
    "IPAMConfig",
    "ipamconfigs",
    "default",
    { strictAffinity: "false" },
    'its spec.strictAffinity is "false", want a boolean',
  ],
  [
    "IPAMConfig",
    "ipamconfigs",
    "default",
    { ipCooldownSeconds: "9" },
    'its spec.ipCooldownSeconds is "9", want an integer',
  ],
  [
    "IPReservation",
    "ipreservations",
    "r",
    { reservedCIDRs: "10.0.0.1" },
    'its spec.reservedCIDRs is "10.0.0.1", want an array',
  ],
  [
    "IPReservation",
    "ipreservations",
    "r",
    { reservedCIDRs: ["10.0.0.1/99"] },
    'its spec.reservedCIDRs[0] is "10.0.0.1/99", want a CIDR',
  ],
])("calico-ipam: %s %s/%s with %j", (kind, directory, name, spec, reason) => {
  test("keeps an ADD from giving an address, and no DEL from its end", () => {
    put("ippools/p.json", "IPPool", "p", { cidr: "10.0.0.0/24" });
    expect(run("ADD", "before")).toHaveProperty("ips");
    put(`${directory}/${name}.json`, kind, name, spec);
    expect(run("ADD")).toMatchObject({ code: 103, msg: expect.stringContaining(reason) });
    expect(run("DEL", "before")).toBeUndefined();
  });
});

test("calico-ipam rejects labels of a node that are not strings if a selector matches on them", () => {
  put("ippools/p.json", "IPPool", "p", { cidr: "10.0.0.0/24", nodeSelector: "rack starts with 'r'" });
  put("nodes/node-1.json", "Node", "node-1", {}, { rack: 5 });
  expect(run("ADD")).toMatchObject({
    code: 103,
    msg: expect.stringContaining("its metadata.labels.rack is 5, want a string"),
  });
});

function put(file: string, kind: string, name: string, spec: object, labels = {}): void {
  const path = `${state}/${file}`;
  machine.files.makeDirs(path.slice(0, path.lastIndexOf("/")), 0o700);
  const object = { apiVersion: "projectcalico.org/v3", kind, metadata: { name, labels }, spec };
  machine.files.replace(path, JSON.stringify(object), 0o600);
}

function run(command: string, container = "a"): unknown {
  const attachment = { CNI_CONTAINERID: container, CNI_IFNAME: "eth0", CNI_NETNS: netns };
  const sys = new FakeSys({
    machine,
    args: ["/opt/cni/bin/calico-ipam"],
    environment: { CNI_COMMAND: command, CNI_PATH: "/opt/cni/bin", ...(command === "STATUS" ? {} : attachment) },
    stdin: JSON.stringify({
      cniVersion: "1.1.0",
      name: "net",
      type: "bridge",
      nodename: "node-1",
      ipam: { type: "calico-ipam" },
    }),
  });
  exitCodeOf(calicoIpam, sys);
  return sys.stdout === "" ? undefined : JSON.parse(sys.stdout);
}
