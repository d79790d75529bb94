import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { metricOf, tableOf } from "../../../plugins/calico/routes.ts";
import type { FakeLink, FakeNetns } from "../../lib/fake/netns.ts";
import { FakeNode } from "../../lib/fake/node.ts";
import { howMany, someOf } from "../../lib/how-many.ts";

let node: FakeNode;

beforeEach(() => {
  node = new FakeNode();
  for (const name of ["c1", "c2", "c3"]) node.sandbox(name);
});

/** The host's state before the first attachment. */
function untouched(): string {
  return new FakeNode().state();
}

const pod = "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;IgnoreUnknown=1";
const dual = { ipam: { type: "calico-ipam", assign_ipv6: "true" } };

describe("calico ADD", () => {
  test("answers with the two interfaces and the address of the second", () => {
    const { status, json } = node.run("ADD", { args: pod });
    expect(status).toBe(0);
    expect(json).toEqual({
      cniVersion: "1.1.0",
      interfaces: [
        { name: expect.stringMatching(/^cali[0-9a-f]{11}$/), mac: "ee:ee:ee:ee:ee:ee" },
        { name: "eth0", mac: expect.any(String), mtu: 1500, sandbox: "/var/run/netns/c1" },
      ],
      ips: [{ address: expect.stringMatching(/^192\.168\.\d+\.\d+\/32$/), interface: 1 }],
    });
  });

  test("writes Calico's WorkloadEndpoint under the attachment's key", () => {
    const { json } = node.run("ADD", { args: pod });
    const record = JSON.parse(node.machine.files.read("/run/tortie/endpoints/net1:c1:eth0.json"));
    expect(record).toMatchObject({
      kind: "WorkloadEndpoint",
      metadata: { name: "node--1-k8s-web--0-eth0", namespace: "default" },
      spec: {
        pod: "web-0",
        containerID: "c1",
        interfaceName: json.interfaces[0].name,
        ipNetworks: [json.ips[0].address],
      },
    });
  });

  test("answers with the configuration's dns when it says anything", () => {
    expect(node.run("ADD", { conf: { dns: { nameservers: ["10.96.0.10"] } } }).json.dns).toEqual({
      nameservers: ["10.96.0.10"],
    });
    expect(node.run("ADD", { container: "c2", conf: { dns: {} } }).json.dns).toBeUndefined();
  });

  test("repeated changes nothing and gives the same answer", () => {
    const first = node.run("ADD", { conf: dual });
    const state = node.state();
    expect(node.run("ADD", { conf: dual }).json).toEqual(first.json);
    expect(node.state()).toBe(state);
  });

  test("fails where the sandbox has a foreign interface of that name, and leaves it", () => {
    node.run("ADD", { container: "c2", sandbox: "c1" });
    const before = node.state();
    const inKernel = node.machine.kernel.print();
    const { status, json } = node.run("ADD");
    expect(status).toBe(1);
    expect(json).toMatchObject({ code: 100, msg: expect.stringContaining('"eth0"') });
    expect(node.state()).toBe(before);
    // Including the sandbox's settings, which are not part of the state.
    expect(node.machine.kernel.print()).toBe(inKernel);
  });

  test("takes over the interface's name from an earlier sandbox of the same pod, whose late DEL then leaves it", () => {
    const first = node.run("ADD", { container: "c1", args: pod }).json;
    const second = node.run("ADD", { container: "c2", args: pod }).json;
    expect(second.interfaces[0].name).toBe(first.interfaces[0].name);
    const served = node.machine.kernel.host.print();
    expect(node.run("DEL", { container: "c1", args: pod }).status).toBe(0);
    expect(node.machine.kernel.host.print()).toBe(served);
    expect(node.run("CHECK", { container: "c2", args: pod, conf: { prevResult: second } }).json).toBeUndefined();
  });

  test("gives two interfaces of one container their own names, and DEL of one leaves the other", () => {
    const { json } = node.run("ADD");
    const alone = node.machine.kernel.host.print();
    const second = node.run("ADD", { ifname: "net1" });
    expect(second.status).toBe(0);
    expect(second.json.interfaces[0].name).not.toBe(json.interfaces[0].name);
    node.run("DEL", { ifname: "net1" });
    expect(node.machine.kernel.host.print()).toBe(alone);
    expect(node.run("CHECK", { conf: { prevResult: json } }).json).toBeUndefined();
  });

  test("leads replies of a second interface by it, again the same when repeated, and takes it back when it fails", () => {
    node.run("ADD", { conf: dual });
    const sandbox = node.machine.netnsPaths.get("/var/run/netns/c1") as FakeNetns;
    const alone = sandbox.print();
    const refused = node.run("ADD", {
      ifname: "net1",
      conf: dual,
      faults: [{ step: lastStepOf("net1"), errno: "ENOMEM" }],
    });
    expect(refused.status).toBe(1);
    expect(sandbox.print()).toBe(alone);
    const { json } = node.run("ADD", { ifname: "net1", conf: dual });
    const [v4, v6] = json.ips.map(({ address }: { address: string }) => address);
    const table = tableOf("net1");
    expect(rulesIn(sandbox)).toEqual([`${v4} ${table}`, `${v6} ${table}`]);
    expect(sandbox.routes.filter((route) => route.table === table).map(({ destination }) => destination)).toEqual([
      "0.0.0.0/0",
      "::/0",
    ]);
    const served = sandbox.print();
    expect(node.run("ADD", { ifname: "net1", conf: dual }).json).toEqual(json);
    expect(sandbox.print()).toBe(served);
  });

  describe("beside another network's default route", () => {
    let sandbox: FakeNetns;
    let before: string;

    beforeEach(() => {
      sandbox = node.machine.netnsPaths.get("/var/run/netns/c1") as FakeNetns;
      const eth1 = sandbox.addLink({ name: "eth1", kind: "device", mac: "02:00:00:00:77:01", mtu: 1500 });
      sandbox.raise(eth1);
      const more = {
        index: eth1.index,
        source: undefined,
        mtu: undefined,
        advmss: undefined,
        protocol: "boot",
      } as const;
      const at = { scope: 0, table: 254, ...more };
      sandbox.routes.push(
        { ...at, destination: "0.0.0.0/0", gateway: "10.78.0.1", priority: undefined },
        { ...at, destination: "::/0", gateway: "fd78::1", priority: 1024 },
      );
      before = sandbox.print();
    });

    test("takes its place behind it, with a table and rules of its own; CHECK confirms, DEL leaves the other", () => {
      const { status, json } = node.run("ADD", { conf: dual });
      expect(status).toBe(0);
      const foreign = sandbox.routes.filter(({ gateway }) => gateway === "10.78.0.1" || gateway === "fd78::1");
      expect(foreign).toHaveLength(2);
      const behind = sandbox.routes.filter(({ destination, table }) => destination.endsWith("/0") && table === 254);
      expect(behind.map(({ priority }) => priority)).toEqual([undefined, 1024, metricOf("eth0"), metricOf("eth0")]);
      expect(rulesIn(sandbox)).toEqual(
        json.ips.map(({ address }: { address: string }) => `${address} ${tableOf("eth0")}`),
      );
      expect(node.run("CHECK", { conf: { ...dual, prevResult: json } }).json).toBeUndefined();
      const served = sandbox.print();
      expect(node.run("ADD", { conf: dual }).json).toEqual(json);
      expect(sandbox.print()).toBe(served);
      node.run("DEL");
      expect(sandbox.print()).toBe(before);
    });

    test("is missed by CHECK when it is gone from there", () => {
      const { json } = node.run("ADD", { conf: dual });
      sandbox.routes = sandbox.routes.filter(({ priority }) => priority !== metricOf("eth0"));
      const { msg } = node.run("CHECK", { conf: { ...dual, prevResult: json } }).json;
      expect(msg).toContain(
        `route 0.0.0.0/0 via 169.254.1.1 dev eth0 metric ${metricOf("eth0")} is missing in the sandbox`,
      );
      expect(msg).toContain(`route ::/0 via fe80::ecee:eeff:feee:eeee dev eth0 metric ${metricOf("eth0")} is missing`);
    });

    test("that fails at any step leaves the sandbox as it was", () => {
      const { steps } = node.run("ADD", { conf: dual });
      node.run("DEL");
      let failed = 0;
      const numbers = someOf([...steps.keys()]);
      for (const step of numbers.map((index) => index + 1)) {
        if (node.run("ADD", { conf: dual, faults: [{ step, errno: "ENOMEM" }] }).status === 0) node.run("DEL");
        else failed++;
        expect(
          sandbox
            .print()
            .replace(/^sysctl .*\n?/gm, "")
            .trimEnd(),
          `step ${step}`,
        ).toBe(before.replace(/^sysctl .*\n?/gm, "").trimEnd());
      }
      expect(failed).toBeGreaterThan(numbers.length / 3);
    });

    test("that comes later and before ours in the table is not replaced by a repeated ADD", () => {
      node.run("DEL");
      const foreign = sandbox.routes.splice(0);
      const first = node.run("ADD").json;
      sandbox.routes.unshift(...foreign);
      const conf = { ipam: { type: "calico-ipam", routes: [{ dst: "0.0.0.0/0", mtu: 1400 }] } };
      expect(node.run("CHECK", { conf: { prevResult: first } }).json).toBeUndefined();
      expect(node.run("ADD", { conf }).json.ips).toEqual(first.ips);
      expect(sandbox.routes.slice(0, 2)).toEqual(foreign);
    });
  });

  test("refuses a datastore that there is none of, by name", () => {
    const { json } = node.run("ADD", { conf: { datastore_type: "etcd" } });
    expect(json).toMatchObject({ code: 2, msg: expect.stringContaining('"datastore_type"') });
    expect(node.state()).toBe(untouched());
  });

  test("in a cluster waits for the agent to name the node, with code 11", () => {
    const { json } = node.run("ADD", { conf: { datastore_type: "kubernetes", nodename: undefined } });
    expect(json).toMatchObject({ code: 11, msg: expect.stringContaining("tortie-node writes it when it is ready") });
    expect(node.state()).toBe(untouched());
  });
});

describe("calico DEL", () => {
  test.each([
    ["after ADD", { conf: {} }],
    ["without a sandbox", { sandbox: undefined }],
    ["with a path that leads nowhere", { sandbox: "gone" }],
    ["without a valid configuration", { conf: { mtu: "big" } }],
  ])("%s removes all", (_when, call) => {
    node.run("ADD", { conf: dual });
    expect(node.run("DEL", call)).toMatchObject({ status: 0, json: undefined });
    expect(node.state()).toBe(untouched());
  });

  test("finds the interface by its alias where the record is gone", () => {
    node.run("ADD");
    node.machine.files.removeFile("/run/tortie/endpoints/net1:c1:eth0.json");
    node.run("DEL");
    expect(node.state()).toBe(untouched());
  });

  describe("in a cluster, of a pod that Calico's plugin made: no record, no alias", () => {
    const conf = { datastore_type: "kubernetes", nodename: "node-1" };
    let link: FakeLink;

    beforeEach(() => {
      link = madeByCalico("c1", pod);
    });

    function madeByCalico(container: string, args: string): FakeLink {
      const { json } = node.run("ADD", { container, args });
      node.machine.files.removeFile(`/run/tortie/endpoints/net1:${container}:eth0.json`);
      const made = hostLink(json.interfaces[0].name) ?? expect.fail("there is no host interface");
      made.alias = undefined;
      return made;
    }

    function hostLink(name: string): FakeLink | undefined {
      return node.machine.kernel.host.find(name);
    }

    test("removes the interface, and the tables with the last one", () => {
      const other = madeByCalico("c2", "K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-1");
      expect(node.run("DEL", { conf, args: pod })).toMatchObject({ status: 0, json: undefined });
      expect(hostLink(link.name)).toBeUndefined();
      expect(hostLink(other.name)).toBe(other);
      expect(node.state()).toContain("table ip tortie");
      expect(node.run("DEL", { conf, container: "c2" }).status).toBe(0);
      expect(node.state()).not.toContain("table ip tortie");
    });

    test("DEL of our last pod, and GC, keep the tables, which Calico's pods use too", () => {
      node.run("ADD", { container: "c2" });
      expect(node.run("DEL", { conf, container: "c2" }).status).toBe(0);
      expect(node.state()).toContain("table ip tortie");
      node.run("GC", { conf: { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] } });
      expect(node.state()).toContain("table ip tortie");
    });

    test.each([
      ["of another owner", { alias: "tortie:net1/c9/eth0" }],
      ["that another plugin made", { mac: "02:00:00:00:00:01" }],
    ])("leaves an interface %s alone", (_, change) => {
      Object.assign(link, change);
      expect(node.run("DEL", { conf, args: pod }).status).toBe(0);
      expect(hostLink(link.name)).toBe(link);
    });

    test("leaves it alone if its sandbox is gone: then the kernel removes it, or it is another pod's", () => {
      expect(node.run("DEL", { conf, args: pod, sandbox: "gone" }).status).toBe(0);
      expect(hostLink(link.name)).toBe(link);
    });
  });

  test("repeated, or without an ADD before, is success", () => {
    node.run("ADD");
    for (const container of ["c1", "c1", "c2"]) expect(node.run("DEL", { container }).status).toBe(0);
  });
});

/** The number of the last step of an ADD of that interface: writing the result. */
function lastStepOf(ifname: string): number {
  const other = new FakeNode();
  other.sandbox("c1");
  other.run("ADD", { conf: dual });
  return other.run("ADD", { ifname, conf: dual }).steps.length;
}

function rulesIn({ rules }: FakeNetns): readonly string[] {
  return rules.map(({ from, table }) => `${from} ${table}`);
}

describe("calico DEL of a second interface", () => {
  let sandbox: FakeNetns;
  let alone: string;

  beforeEach(() => {
    sandbox = node.machine.netnsPaths.get("/var/run/netns/c1") as FakeNetns;
    node.run("ADD", { conf: dual });
    alone = sandbox.print();
    node.run("ADD", { ifname: "net1", conf: dual });
  });

  test.each([
    ["with the sandbox's path", {}],
    ["without a path, by that of the record", { sandbox: undefined }],
    ["with a path that leads nowhere", { sandbox: "gone" }],
  ])("%s leaves the sandbox as it was before", (_, call) => {
    expect(node.run("DEL", { ifname: "net1", ...call }).status).toBe(0);
    expect(sandbox.print()).toBe(alone);
  });

  test("removes rules without a record, by the table's number, and of an interface that was deleted", () => {
    node.machine.files.removeFile("/run/tortie/endpoints/net1:c1:net1.json");
    node.run("DEL", { ifname: "net1" });
    expect(sandbox.print()).toBe(alone);
    node.run("ADD", { ifname: "net1", conf: dual });
    sandbox.deleteLink(sandbox.find("net1") ?? expect.fail("net1 is gone"));
    expect(rulesIn(sandbox)).toHaveLength(2);
    node.run("DEL", { ifname: "net1" });
    expect(sandbox.print()).toBe(alone);
  });

  test("whose path leads to another pod by now leaves that pod's rules", () => {
    node.run("ADD", { container: "c2", ifname: "net1", conf: dual });
    const other = node.machine.netnsPaths.get("/var/run/netns/c2") as FakeNetns;
    const served = other.print();
    expect(node.run("DEL", { ifname: "net1", sandbox: "c2" }).status).toBe(0);
    expect(other.print()).toBe(served);
  });

  test("by GC leaves the sandbox as it was before", () => {
    node.run("GC", { conf: { "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] } });
    expect(sandbox.print()).toBe(alone);
  });
});

describe("calico CHECK", () => {
  test("names a deleted rule and table of a second interface", () => {
    const sandbox = node.machine.netnsPaths.get("/var/run/netns/c1") as FakeNetns;
    const { json } = node.run("ADD", { ifname: "net1" });
    const call = { ifname: "net1", conf: { prevResult: json } };
    expect(node.run("CHECK", call).json).toBeUndefined();
    sandbox.routes = sandbox.routes.filter(({ table }) => table === 254);
    sandbox.rules = [];
    const { msg } = node.run("CHECK", call).json;
    expect(msg).toContain(
      `rule from ${json.ips[0].address} lookup ${tableOf("net1")} pref 32000 is missing in the sandbox`,
    );
    expect(msg).toContain(
      `route 0.0.0.0/0 via 169.254.1.1 dev net1 table ${tableOf("net1")} is missing in the sandbox`,
    );
  });

  test("names deleted objects", () => {
    const { json } = node.run("ADD");
    expect(node.run("CHECK", { conf: { prevResult: json } })).toMatchObject({ status: 0, json: undefined });
    const { host } = node.machine.kernel;
    host.routes.length = 0;
    expect(node.run("CHECK", { conf: { prevResult: json } }).json).toMatchObject({
      code: 101,
      msg: expect.stringContaining(`route ${json.ips[0].address} dev ${json.interfaces[0].name} scope link is missing`),
    });
  });

  test("confirms a MAC address that a later plugin changed, and that made the kernel forget the gateway's", () => {
    const { json } = node.run("ADD");
    const sandbox = node.machine.netnsPaths.get("/var/run/netns/c1");
    const eth0 = [...(sandbox?.links.values() ?? [])].find(({ name }) => name === "eth0");
    Object.assign(eth0 ?? {}, { mac: "02:00:00:00:10:07" });
    sandbox?.neighbours.splice(0);
    expect(node.run("CHECK", { conf: { prevResult: json } }).json).toMatchObject({ code: 101 });
    json.interfaces[1].mac = "02:00:00:00:10:07";
    expect(node.run("CHECK", { conf: { prevResult: json } })).toMatchObject({ status: 0, json: undefined });
  });

  test.each([
    ["is gone", "gone", 3, "it does not exist"],
    ["is a stale mount point", "stale", 4, "it is not a network namespace"],
  ])("of a sandbox that %s says so", (_, sandbox, code, text) => {
    node.machine.files.makeDirs("/var/run/netns", 0o755);
    node.machine.files.create("/var/run/netns/stale", "", 0o444);
    const { json } = node.run("ADD");
    json.interfaces[1].sandbox = `/var/run/netns/${sandbox}`;
    const { msg, ...rest } = node.run("CHECK", { sandbox, conf: { prevResult: json } }).json;
    expect(rest).toEqual({ cniVersion: "1.1.0", code });
    expect(msg).toBe(`cannot open network namespace "/var/run/netns/${sandbox}" of CNI_NETNS: ${text}`);
  });

  test("refuses a prevResult of another sandbox", () => {
    const { json } = node.run("ADD");
    json.interfaces[1].sandbox = "/var/run/netns/other";
    expect(node.run("CHECK", { conf: { prevResult: json } }).json).toMatchObject({
      code: 101,
      msg: expect.stringContaining('"/var/run/netns/other"'),
    });
  });
});

describe("calico GC", () => {
  test("removes what belongs to no valid attachment of this network, and nothing else", () => {
    node.run("ADD", { container: "c1" });
    const kept = node.state();
    node.run("ADD", { container: "c2" });
    node.run("ADD", { container: "c3" });
    node.machine.files.removeFile("/run/tortie/endpoints/net1:c3:eth0.json");
    const valid = { "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] };
    expect(node.run("GC", { conf: { ...valid, name: "net2" } }).status).toBe(0);
    expect(node.state()).not.toBe(kept);
    expect(node.run("GC", { conf: valid }).status).toBe(0);
    expect(node.state()).toBe(kept);
  });

  test("keeps no sandbox open: there may be more of them than file descriptors", () => {
    for (const container of ["c1", "c2", "c3"]) node.run("ADD", { container });
    const { descriptors } = node.machine.kernel;
    descriptors.clear();
    expect(node.run("GC", { conf: { "cni.dev/valid-attachments": [] } }).status).toBe(0);
    expect(descriptors.size).toBe(0);
  });

  test("without a list removes nothing", () => {
    node.run("ADD");
    const kept = node.state();
    for (const conf of [{}, { "cni.dev/valid-attachments": null }]) expect(node.run("GC", { conf }).status).toBe(0);
    expect(node.state()).toBe(kept);
  });
});

describe("calico STATUS", () => {
  test("is silent when ADD could work, 50 where the kernel has no nf_tables", () => {
    expect(node.run("STATUS")).toMatchObject({ status: 0, json: undefined });
    const bare = new FakeNode();
    bare.machine.netfilter = undefined;
    expect(bare.run("STATUS").json).toMatchObject({ code: 50 });
  });
});

test("calico: after any sequence of ADD, CHECK, DEL and GC, DEL of all restores the initial state", () => {
  const operation = fc.record({
    command: fc.constantFrom("ADD", "ADD", "CHECK", "DEL", "GC"),
    container: fc.constantFrom("c1", "c2", "c3"),
    failAt: fc.option(fc.integer({ min: 1, max: 120 }), { nil: undefined, freq: 3 }),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 14 }), (operations) => {
      const walked = new FakeNode();
      const results = new Map<string, unknown>();
      for (const name of ["c1", "c2", "c3"]) walked.sandbox(name);
      for (const { command, container, failAt } of operations) {
        const faults = failAt === undefined ? [] : [{ step: failAt, errno: "EIO" }];
        const valid = [...results.keys()].map((containerID) => ({ containerID, ifname: "eth0" }));
        const prevResult = results.get(container);
        if (command === "CHECK" && prevResult === undefined) continue;
        const conf = command === "GC" ? { "cni.dev/valid-attachments": valid } : { prevResult };
        const { status, json } = walked.run(command, { container, conf: command === "ADD" ? {} : conf, faults });
        if (command === "ADD" && status === 0) results.set(container, json);
        // After a failure the runtime calls DEL.
        if ((command === "ADD" || command === "DEL") && status !== 0)
          expect(walked.run("DEL", { container }).status).toBe(0);
        if (command === "DEL" || (command === "ADD" && status !== 0)) results.delete(container);
        if (failAt === undefined && command !== "DEL") expect(status, `${command} ${JSON.stringify(json)}`).toBe(0);
        for (const [id, result] of results) {
          expect(walked.run("CHECK", { container: id, conf: { prevResult: result } }).json).toBeUndefined();
        }
      }
      for (const container of ["c1", "c2", "c3"]) walked.run("DEL", { container });
      expect(walked.state()).toBe(untouched());
    }),
    { numRuns: howMany(60) },
  );
});

describe("calico: the MTU", () => {
  const refused = (mtu: number, source: string) =>
    `cannot use MTU ${mtu} of ${source}: the smallest is 68, and 1280 with IPv6; 0 stands for the kernel's default`;
  const ipv6 = { type: "calico-ipam", assign_ipv4: "false", assign_ipv6: "true" };

  test.each([
    [20, {}],
    [67, {}],
    [1279, dual],
    [1279, { ipam: ipv6 }],
    [68, { ipam: ipv6 }],
  ])("%i is refused by ADD and by STATUS, in the same words, with %j", (mtu, conf) => {
    for (const command of ["ADD", "STATUS"] as const) {
      const { json } = node.run(command, { conf: { mtu, ...conf } });
      expect(json).toMatchObject({ code: 7, msg: refused(mtu, 'key "mtu"') });
    }
    expect(node.state()).toBe(untouched());
  });

  test.each([
    [68, {}],
    [1279, {}],
    [1280, dual],
    [0, dual],
  ])("%i is taken, with %j", (mtu, conf) => {
    expect(node.run("ADD", { conf: { mtu, ...conf } }).json.interfaces[1].mtu).toBe(mtu || 1500);
  });

  test("of the node's file is judged alike", () => {
    node.machine.files.makeDirs("/var/lib/calico", 0o755);
    node.machine.files.replace("/var/lib/calico/mtu", "20", 0o644);
    expect(node.run("ADD").json).toMatchObject({ code: 7, msg: refused(20, '"/var/lib/calico/mtu"') });
    expect(node.run("STATUS").json).toMatchObject({ code: 50, msg: refused(20, '"/var/lib/calico/mtu"') });
    node.machine.files.replace("/var/lib/calico/mtu", "1279", 0o644);
    expect(node.run("ADD").status).toBe(0);
    expect(node.run("ADD", { container: "c2", conf: dual }).json).toMatchObject({
      code: 7,
      msg: refused(1279, '"/var/lib/calico/mtu"'),
    });
  });

  test("that must come from the file is asked for by STATUS, too", () => {
    expect(node.run("STATUS", { conf: { require_mtu_file: true } }).json).toMatchObject({
      code: 50,
      msg: expect.stringContaining('cannot read the MTU from "/var/lib/calico/mtu"'),
    });
  });
});

test("calico DEL of an unknown attachment, and a second DEL, log nothing", () => {
  const log = () => {
    const path = "/var/log/cni.log";
    return node.machine.files.stat(path) === undefined ? "" : node.machine.files.read(path);
  };
  const conf = { log_file_path: "/var/log/cni.log", log_level: "info" };
  node.run("DEL", { conf });
  expect(log()).toBe("");
  node.run("ADD", { conf });
  node.run("DEL", { conf });
  expect(log()).toContain('"endpoint removed"');
  expect(log()).toContain('"addresses released"');
  const before = log();
  node.run("DEL", { conf });
  expect(log()).toBe(before);
});
