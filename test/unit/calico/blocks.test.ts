import { beforeEach, describe, expect, test } from "vitest";
import { removeIdleBlocks } from "../../../plugins/calico/blocks.ts";
import type { Sys } from "../../../src/host/sys.ts";
import { FakeNode } from "../../lib/fake/node.ts";

const conf = { ipam: { type: "calico-ipam", assign_ipv6: "true" } };
const blockDirectory = "/run/tortie/ipam/blocks";
const affinityDirectory = "/run/tortie/ipam/affinities";

let node: FakeNode;

beforeEach(() => {
  node = new FakeNode();
  for (const name of ["c1", "c2"]) node.sandbox(name);
});

function routes(): readonly string[] {
  return node.machine.kernel.host.routes.flatMap(({ type, destination }) =>
    type === "blackhole" ? [destination] : [],
  );
}

function add(container: string, more: object = conf): string[] {
  const { status, json } = node.run("ADD", { container, conf: more });
  expect(status).toBe(0);
  return json.ips.map(({ address }: { address: string }) => address);
}

/** A process on the machine with a hook at a netlink message. */
function interrupted(happens: () => void): Sys {
  const sys = node.process({}, "");
  const open = sys.openNetlink.bind(sys);
  let once = true;
  sys.openNetlink = (...where) => {
    const socket = open(...where);
    return {
      ...socket,
      receive: (timeoutMs) => socket.receive(timeoutMs),
      close: () => socket.close(),
      send(datagram) {
        if (once) {
          once = false;
          happens();
        }
        socket.send(datagram);
      },
    };
  };
  return sys;
}

test("calico ADD of a block's first pod adds its route, and DEL of the last removes it", () => {
  add("c1");
  const both = routes();
  expect(both).toEqual([expect.stringMatching(/^192\.168\.\d+\.\d+\/26$/), expect.stringMatching(/^fd.*\/122$/)]);
  add("c2");
  node.run("DEL", { container: "c1", conf });
  expect(routes()).toEqual(both);
  node.run("DEL", { container: "c2", conf });
  expect(routes()).toEqual([]);
});

test("calico ADD restores a block's route that was deleted", () => {
  add("c1");
  const both = routes();
  const { host } = node.machine.kernel;
  host.routes = host.routes.filter(({ type }) => type !== "blackhole");
  add("c2");
  expect([...routes()].sort()).toEqual([...both].sort());
});

test("calico ADD does not look up a block's owner if the IPv4 route exists", () => {
  const v4 = { ipam: { type: "calico-ipam" } };
  add("c1", v4);
  const both = routes();
  const { files } = node.machine;
  const reads: string[] = [];
  const read = files.read.bind(files);
  files.read = (path, ...more) => {
    reads.push(path);
    return read(path, ...more);
  };
  node.run("ADD", { container: "c1", conf: v4 });
  const affinities = () => reads.splice(0).filter((path) => path.startsWith(affinityDirectory)).length;
  const before = affinities();
  const { host } = node.machine.kernel;
  host.routes = host.routes.filter(({ type }) => type !== "blackhole");
  node.run("ADD", { container: "c1", conf: v4 });
  expect(affinities()).toBe(before + 1);
  expect(routes()).toEqual(both);
});

test("calico: an address in cooldown does not count as a pod of the block", () => {
  node.machine.files.makeDirs("/var/lib/tortie/ipamconfigs", 0o700);
  const config = { kind: "IPAMConfig", metadata: { name: "default" }, spec: { ipCooldownSeconds: 600 } };
  node.machine.files.create("/var/lib/tortie/ipamconfigs/default.json", JSON.stringify(config), 0o600);
  add("c1");
  node.run("DEL", { container: "c1", conf });
  expect(node.machine.files.read(`${blockDirectory}/${node.machine.files.list(blockDirectory)[0]}`)).toContain(
    "releasedAt",
  );
  expect(routes()).toEqual([]);
});

test("calico ADD adds no route for the block of a borrowed address, which belongs to another node", () => {
  add("c1");
  node.run("DEL", { container: "c1", conf });
  for (const file of node.machine.files.list(blockDirectory)) {
    const path = `${blockDirectory}/${file}`;
    node.machine.files.write(path, node.machine.files.read(path).replace("host:node-1", "host:node-2"));
  }
  for (const file of node.machine.files.list(affinityDirectory))
    node.machine.files.removeFile(`${affinityDirectory}/${file}`);
  const [block = ""] = node.machine.files.list(blockDirectory);
  const borrowed = block.replace(
    /^(\d+)-(\d+)-(\d+)-(\d+)-26\.json$/,
    (_, a, b, c, d) => `${a}.${b}.${c}.${Number(d) + 9}`,
  );
  const byName = { ipam: { type: "calico-ipam" }, args: { cni: { ips: [borrowed] } } };
  expect(add("c1", byName)).toEqual([`${borrowed}/32`]);
  expect(routes()).toEqual([]);
});

test("calico ADD adds no block route for addresses of a foreign IPAM plugin", () => {
  node.machine.files.create("/opt/cni/bin/other", "", 0o755);
  node.machine.programs.set("/opt/cni/bin/other", () => ({
    stdout: '{"cniVersion":"1.1.0","ips":[{"address":"192.168.9.5/24"}]}',
  }));
  const { status } = node.run("ADD", { conf: { ipam: { type: "other" } } });
  expect([status, routes()]).toEqual([0, []]);
});

test("a failed calico ADD keeps the block's route only if the block has another pod", () => {
  for (const stay of [0, 2]) {
    if (stay > 0) add("c2");
    // Twice: the first one claims the node's block.
    for (const _ of [1, 2]) {
      add("c1");
      node.run("DEL", { container: "c1", conf });
    }
    const last = node.run("ADD", { container: "c1", conf }).steps.length;
    node.run("DEL", { container: "c1", conf });
    // The last step fails: writing the result.
    expect(node.run("ADD", { container: "c1", conf, faults: [{ step: last, errno: "EIO" }] }).status).toBe(1);
    expect(routes()).toHaveLength(stay);
  }
});

describe("calico DEL", () => {
  test("without a record removes the routes of what it releases", () => {
    add("c1");
    node.machine.files.removeFile("/run/tortie/endpoints/net1:c1:eth0.json");
    node.run("DEL", { container: "c1", conf });
    expect(routes()).toEqual([]);
  });

  test.each([
    ["pool", () => ["/var/lib/tortie/ippools"]],
    ["pool and block", () => ["/var/lib/tortie/ippools", blockDirectory, affinityDirectory]],
  ])("removes it though the %s is gone", (_, directories) => {
    add("c1");
    for (const directory of directories()) {
      for (const file of node.machine.files.list(directory)) node.machine.files.removeFile(`${directory}/${file}`);
    }
    expect(node.run("DEL", { container: "c1", conf }).status).toBe(0);
    expect(routes()).toEqual([]);
  });

  test("puts the route back where an ADD was faster than its look at the block", () => {
    const [address = ""] = add("c1", { ipam: { type: "calico-ipam" } });
    const before = routes();
    node.machine.files.removeFile("/run/tortie/endpoints/net1:c1:eth0.json");
    node.run("DEL", { plugin: "calico-ipam", container: "c1" });
    // It has found the block empty and is about to remove the route; in between another pod is added.
    removeIdleBlocks(
      interrupted(() => add("c2", { ipam: { type: "calico-ipam" } })),
      "node-1",
      [address],
    );
    expect(routes()).toEqual(before);
    expect(
      node.run("CHECK", { container: "c2", conf: { prevResult: node.run("ADD", { container: "c2" }).json } }).json,
    ).toBeUndefined();
  });
});

test("calico ADD accepts a foreign route to the block and leaves it alone", () => {
  add("c1");
  const [block = ""] = routes();
  node.run("DEL", { container: "c1", conf });
  const { host } = node.machine.kernel;
  const uplink = host.addLink({ name: "uplink", kind: "device", mac: "02:00:00:00:99:01", mtu: 1500 });
  const more = { scope: 0, table: 254, source: undefined, priority: undefined, mtu: undefined, advmss: undefined };
  host.routes.push({ ...more, destination: block, index: uplink.index, gateway: "203.0.113.9", protocol: "boot" });
  const state = node.state();
  const { json } = node.run("ADD", { container: "c1", conf });
  expect(node.run("CHECK", { container: "c1", conf: { ...conf, prevResult: json } }).json).toBeUndefined();
  node.run("DEL", { container: "c1", conf });
  expect(node.state()).toBe(state);
});

test("calico GC restores missing block routes and removes stale ones after killed processes", () => {
  add("c1");
  const both = routes();
  const { host } = node.machine.kernel;
  const kept = host.routes.filter(({ type }) => type === "blackhole");
  host.routes = host.routes.filter(({ type }) => type !== "blackhole");
  const valid = [{ containerID: "c1", ifname: "eth0" }];
  expect(node.run("GC", { conf: { ...conf, "cni.dev/valid-attachments": valid } }).status).toBe(0);
  expect([...routes()].sort()).toEqual([...both].sort());
  node.run("DEL", { container: "c1", conf });
  host.routes.push(...kept);
  node.run("GC", { conf: { ...conf, "cni.dev/valid-attachments": [] } });
  expect(routes()).toEqual([]);
});
