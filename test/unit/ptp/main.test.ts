import { beforeEach, describe, expect, test } from "vitest";
import { supportedVersions } from "../../../src/cni/version.ts";
import { FakeNode } from "../../lib/fake/node.ts";

/** The model has no other executables, so addresses come from our own IPAM plugin, with gateways as in a subnet. */
const ipam = { type: "calico-ipam", gateways: ["192.168.0.1"], routes: [{ dst: "0.0.0.0/0" }] };
const dual = {
  ...ipam,
  assign_ipv6: "true",
  gateways: ["192.168.0.1", "fd00::1"],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
};

let node: FakeNode;

beforeEach(() => {
  node = new FakeNode();
  for (const name of ["c1", "c2"]) node.sandbox(name);
});

function run(command: string, conf: object = {}, container = "c1") {
  return node.run(command, { plugin: "ptp", container, conf: { ipam, ipMasq: true, ...conf } });
}

const untouched = () => new FakeNode().state();

test("ptp VERSION answers with all versions", () => {
  const { status, json } = run("VERSION");
  expect(status).toBe(0);
  expect(json.supportedVersions).toEqual(supportedVersions);
});

describe("ptp ADD", () => {
  test("answers with both ends, and the addresses of the second with their gateways", () => {
    const { status, json } = run("ADD", { mtu: 1400 });
    expect([status, json]).toEqual([0, json]);
    expect(json.interfaces).toEqual([
      { name: expect.stringMatching(/^veth[0-9a-f]{8}$/), mac: expect.any(String) },
      { name: "eth0", mac: expect.any(String), mtu: 1400, sandbox: "/var/run/netns/c1" },
    ]);
    expect(json.ips).toEqual([{ address: expect.stringMatching(/^192\.168\./), gateway: "192.168.0.1", interface: 1 }]);
    expect(json.routes).toEqual(ipam.routes);
  });

  test("gives the host the gateway's address and a route to the container, and the container a way by it", () => {
    const { json } = run("ADD", { ipam: dual });
    const [v4, v6] = json.ips.map(({ address }: { address: string }) => address.replace(/\/.*/, ""));
    const state = node.state();
    for (const line of ["address 192.168.0.1/32", "address fd00::1/128", `route ${v4}/32`, `route ${v6}/128`]) {
      expect(state).toContain(line);
    }
  });

  test("repeated, answers the same and makes nothing more", () => {
    const first = run("ADD").json;
    const state = node.state();
    expect(run("ADD").json).toEqual(first);
    expect(node.state()).toBe(state);
  });

  test("takes the configuration's dns when it has any of its keys, even an empty list", () => {
    expect(run("ADD", { dns: { search: [] } }).json.dns).toEqual({ search: [] });
  });

  test.each([
    [{ ipam: { type: "calico-ipam" } }, 100, /named? no gateway|has no gateway/],
    [{ ipMasqBackend: "iptables" }, 2, /"iptables"/],
    [{ ipMasqBackend: "x" }, 7, /"x"/],
    [{ mtu: -1 }, 7, /mtu/],
    [{ ipam: undefined }, 7, /ipam/],
  ])("with %j refuses, and leaves nothing", (conf, code, says) => {
    const { json } = run("ADD", conf);
    expect([json.code, json.msg]).toEqual([code, expect.stringMatching(says)]);
    expect(node.state()).toBe(untouched());
  });
});

describe("ptp CHECK", () => {
  test("passes after ADD, and names what a hand removed", () => {
    const prevResult = run("ADD").json;
    expect(run("CHECK", { prevResult }).json).toBeUndefined();
    const host = node.machine.kernel.host;
    host.routes = [];
    expect(run("CHECK", { prevResult }).json).toMatchObject({
      code: 101,
      msg: expect.stringMatching(/route .* is missing/),
    });
  });
});

describe("ptp DEL and GC", () => {
  test("DEL leaves nothing, of one family or two, twice, and without a sandbox", () => {
    run("ADD", { ipam: dual });
    run("ADD", {}, "c2");
    for (const container of ["c1", "c2", "c1"]) expect(run("DEL", {}, container).status).toBe(0);
    expect(node.state()).toBe(untouched());
    run("ADD");
    expect(node.run("DEL", { plugin: "ptp", sandbox: undefined, conf: { ipam, ipMasq: true } }).status).toBe(0);
    expect(node.state()).toBe(untouched());
  });

  test("GC removes what is not valid, and leaves the rest", () => {
    run("ADD", {}, "c2");
    const kept = node.state();
    run("ADD");
    expect(run("GC", { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] }).status).toBe(0);
    expect(node.state()).toBe(kept);
  });
});

test("ptp STATUS passes, and names missing kernel features", () => {
  expect(run("STATUS").status).toBe(0);
});
