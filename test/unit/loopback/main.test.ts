import { beforeEach, describe, expect, test } from "vitest";
import { supportedVersions } from "../../../src/cni/version.ts";
import type { FakeNetns } from "../../lib/fake/netns.ts";
import { type Call, FakeNode } from "../../lib/fake/node.ts";

let node: FakeNode;
let sandbox: FakeNetns;
/** The sandbox in its initial state. */
let fresh: string;

beforeEach(() => {
  node = new FakeNode();
  sandbox = sandboxOf(node);
  fresh = sandbox.print();
});

function sandboxOf(node: FakeNode): FakeNetns {
  node.sandbox("c1");
  return node.machine.netnsPaths.get("/var/run/netns/c1") as FakeNetns;
}

function run(command: string, conf: object = {}, call: Call = {}) {
  return node.run(command, { ...call, plugin: "loopback", conf });
}

function lo() {
  return sandbox.find("lo") ?? expect.fail("lo is gone");
}

/** A result of another plugin for the same pod. */
const ofOthers = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/var/run/netns/c1" }],
  ips: [{ address: "10.0.0.5/32", interface: 0 }],
  routes: [{ dst: "0.0.0.0/0" }],
  "example.org/x": { y: 1 },
};

const onLo = { name: "lo", mac: "00:00:00:00:00:00", sandbox: "/var/run/netns/c1" };
const bodies: Readonly<Record<string, object>> = {
  "0.1.0": { ip4: { ip: "127.0.0.1/8" }, ip6: { ip: "::1/128" }, dns: {} },
  "0.3.0": {
    interfaces: [onLo],
    ips: [
      { version: "4", interface: 0, address: "127.0.0.1/8" },
      { version: "6", interface: 0, address: "::1/128" },
    ],
    dns: {},
  },
  "1.0.0": {
    interfaces: [onLo],
    ips: [
      { interface: 0, address: "127.0.0.1/8" },
      { interface: 0, address: "::1/128" },
    ],
  },
};

function bodyOf(version: string): object | undefined {
  return bodies[version < "0.3.0" ? "0.1.0" : version < "1.0.0" ? "0.3.0" : "1.0.0"];
}

describe("loopback ADD", () => {
  test.each(supportedVersions)("in version %s answers with lo's addresses, in the shape of that version", (version) => {
    expect(run("ADD", { cniVersion: version })).toMatchObject({
      status: 0,
      json: { cniVersion: version, ...bodyOf(version) },
    });
    expect(Object.keys(run("ADD", { cniVersion: version }).json).sort()).toEqual(
      ["cniVersion", ...Object.keys(bodyOf(version) ?? {})].sort(),
    );
    expect(lo().up).toBe(true);
  });

  test("in a sandbox without IPv6 answers with 127.0.0.1/8 alone", () => {
    sandbox.sysctl.write("ipv6/conf/lo/disable_ipv6", "1");
    expect(run("ADD").json.ips).toEqual([{ interface: 0, address: "127.0.0.1/8" }]);
    expect(run("ADD", { cniVersion: "0.2.0" }).json).toEqual({
      cniVersion: "0.2.0",
      ip4: { ip: "127.0.0.1/8" },
      dns: {},
    });
  });

  test("answers with the first address of each family, whatever else 127.0.0.0/8 holds", () => {
    run("ADD");
    sandbox.addAddress(lo(), "127.0.0.53/8");
    expect(run("ADD").json).toMatchObject(bodyOf("1.1.0") ?? {});
  });

  test("passes a prevResult on as it came, unknown keys too, and sets lo up", () => {
    expect(run("ADD", { prevResult: ofOthers }).json).toEqual(ofOthers);
    expect(lo().up).toBe(true);
  });

  test("takes lo, whatever CNI_IFNAME says", () => {
    expect(run("ADD", {}, { ifname: "lo" }).json).toEqual(run("ADD", {}, { ifname: "net7" }).json);
  });

  test("repeated answers the same and changes nothing", () => {
    const first = run("ADD").json;
    const state = sandbox.print();
    expect(run("ADD").json).toEqual(first);
    expect(sandbox.print()).toBe(state);
  });

  test.each(["10.0.0.1/32", "fd00::1/128"])("refuses lo with address %s, and sets down what it set up", (address) => {
    for (const up of [false, true]) {
      if (up) sandbox.raise(lo());
      if (!lo().addresses.includes(address)) sandbox.addAddress(lo(), address);
      const refused = run("ADD", { prevResult: ofOthers }).json;
      expect(refused).toMatchObject({ code: 100, msg: expect.stringContaining(address) });
      expect(lo().up).toBe(up);
    }
  });

  test("that fails at any step leaves lo as it was", () => {
    const { steps } = run("ADD");
    let failed = 0;
    for (let step = 1; step <= steps.length; step++) {
      const other = new FakeNode();
      const netns = sandboxOf(other);
      const { status } = other.run("ADD", { plugin: "loopback", faults: [{ step, errno: "ENOMEM" }] });
      // A lost answer is requested again, and closing a descriptor cannot fail.
      if (status === 0) continue;
      failed++;
      expect(netns.print(), `after step ${step} failed`).toBe(fresh);
    }
    expect(failed).toBeGreaterThan(5);
  });

  test("that is killed at any step is completed by ADD and cleaned up by DEL", () => {
    const { steps } = run("ADD");
    for (let step = 1; step <= steps.length; step++) {
      const other = new FakeNode();
      const netns = sandboxOf(other);
      other.run("ADD", { plugin: "loopback", faults: [{ step, kill: "before" }] });
      expect(other.run("ADD", { plugin: "loopback" }).json, `after step ${step}`).toMatchObject(bodyOf("1.1.0") ?? {});
      expect(other.run("DEL", { plugin: "loopback" }).status).toBe(0);
      expect(netns.find("lo")?.up, `after step ${step}`).toBe(false);
    }
  });

  test("refuses a log key of the wrong type, by name, and touches nothing", () => {
    expect(run("ADD", { log_file_max_size: "big" }).json).toMatchObject({
      code: 7,
      msg: expect.stringContaining("log_file_max_size"),
    });
    expect(sandbox.print()).toBe(fresh);
  });
});

describe("loopback CHECK", () => {
  test("is silent right after ADD, alone and after other plugins", () => {
    const { json } = run("ADD");
    expect(run("CHECK", { prevResult: json })).toMatchObject({ status: 0, json: undefined });
    expect(run("CHECK", { prevResult: ofOthers })).toMatchObject({ status: 0, json: undefined });
  });

  test.each<[string, () => void, RegExp]>([
    [
      "lo that is down",
      () => sandbox.lower(lo()),
      /link lo is down in the sandbox; address ::1\/128 dev lo is missing/,
    ],
    [
      "an address that is gone",
      () => sandbox.deleteAddress(lo(), "127.0.0.1/8"),
      /^cannot confirm "lo": address 127\.0\.0\.1\/8 dev lo is missing in the sandbox$/,
    ],
  ])("names %s", (_, harm, text) => {
    const prevResult = run("ADD").json;
    harm();
    const state = sandbox.print();
    expect(run("CHECK", { prevResult }).json).toMatchObject({ code: 101, msg: expect.stringMatching(text) });
    expect(sandbox.print()).toBe(state);
  });

  test("names another sandbox in the prevResult", () => {
    const prevResult = run("ADD").json;
    node.sandbox("c2");
    expect(run("CHECK", { prevResult }, { sandbox: "c2" }).json).toMatchObject({
      code: 101,
      msg: expect.stringMatching(/"\/var\/run\/netns\/c1".*"\/var\/run\/netns\/c2"/),
    });
  });

  test("of a sandbox that is gone says so", () => {
    const prevResult = run("ADD").json;
    expect(run("CHECK", { prevResult: { ...prevResult, interfaces: [] } }, { sandbox: "gone" }).json).toMatchObject({
      code: 3,
      msg: expect.stringContaining("gone"),
    });
  });

  test("without a prevResult is refused", () => {
    expect(run("CHECK").json).toMatchObject({ code: 7, msg: expect.stringContaining("prevResult") });
  });
});

describe("loopback DEL", () => {
  test("sets lo down, and again", () => {
    run("ADD");
    for (let time = 1; time <= 2; time++) {
      expect(run("DEL")).toMatchObject({ status: 0, json: undefined });
      expect(lo().up).toBe(false);
    }
    expect(run("ADD").json).toMatchObject(bodyOf("1.1.0") ?? {});
  });

  test.each<[string, Call]>([
    ["an empty CNI_NETNS", { sandbox: undefined }],
    ["a sandbox that is gone", { sandbox: "gone" }],
    ["a mount point of which a plain file is left", { sandbox: "file" }],
  ])("with %s succeeds and does nothing", (_, call) => {
    node.machine.files.makeDirs("/var/run/netns", 0o755);
    node.machine.files.create("/var/run/netns/file", "", 0o444);
    run("ADD");
    const state = [node.state(), sandbox.print()];
    expect(run("DEL", {}, call)).toMatchObject({ status: 0, json: undefined });
    expect([node.state(), sandbox.print()]).toEqual(state);
  });

  test("leaves lo that was up before ADD, and that of another container whose process has the ID by now", () => {
    sandbox.raise(lo());
    const before = sandbox.print();
    run("ADD");
    expect(run("DEL").status).toBe(0);
    expect(sandbox.print()).toBe(before);
    node.sandbox("c2");
    const other = node.machine.netnsPaths.get("/var/run/netns/c2") as FakeNetns;
    run("ADD", {}, { container: "c2" });
    const served = other.print();
    expect(run("DEL", {}, { container: "c1", sandbox: "c2" }).status).toBe(0);
    expect(other.print()).toBe(served);
  });

  test("of one network leaves lo up for the network that raised it", () => {
    run("ADD", { name: "cni-loopback" });
    run("ADD");
    run("DEL");
    expect(lo().up).toBe(true);
    run("DEL", { name: "cni-loopback" });
    expect(sandbox.print()).not.toContain("link lo");
  });

  test("without a valid configuration and result sets lo down", () => {
    run("ADD");
    expect(run("DEL", { log_level: 5, prevResult: "nonsense" }).status).toBe(0);
    expect(lo().up).toBe(false);
  });
});

test.each(["STATUS", "GC"])("loopback: %s is silent and touches nothing", (command) => {
  run("ADD");
  const state = [node.state(), sandbox.print()];
  expect(run(command, { "cni.dev/valid-attachments": [] })).toMatchObject({ status: 0, json: undefined });
  expect([node.state(), sandbox.print()]).toEqual(state);
});
