/** The pools that a configuration creates, and those that are refused. */

import { beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { IpamWorld } from "./world.ts";

let world: IpamWorld;

beforeEach(() => {
  world = new IpamWorld();
});

describe("calico-ipam: a pool in the configuration", () => {
  const six = { assign_ipv4: "false", assign_ipv6: "true" };

  test.each([
    ["ipv4_pools", "fd00:7::/64", "it is an IPv6 CIDR, but IPv4 is required"],
    ["ipv6_pools", "10.1.0.0/16", "it is an IPv4 CIDR, but IPv6 is required"],
    ["ipv4_pools", "10.1.2.3/16", 'it has host bits; write "10.1.0.0/16"'],
    ["ipv6_pools", "FD00:7::1/64", 'it has host bits; write "fd00:7::/64"'],
    ["ipv4_pools", "10.1.0.0/33", "it is neither a valid CIDR nor the name of a pool"],
    ["ipv6_pools", "fd00::/129", "it is neither a valid CIDR nor the name of a pool"],
    ["ipv4_pools", "10.1.0.0/", "it is neither a valid CIDR nor the name of a pool"],
    ["ipv4_pools", "10.1.0.0", "it is neither a valid CIDR nor the name of a pool"],
    ["ipv4_pools", "", "it is neither a valid CIDR nor the name of a pool"],
  ])("of %s %j is refused by ADD and STATUS, and makes nothing", (key, text, reason) => {
    const ipam = { assign_ipv6: "true", [key]: [key === "ipv4_pools" ? "10.9.0.0/24" : "fd99::/64", text] };
    const answer = { code: 7, msg: `cannot use "${text}" of "ipam.${key}": ${reason}` };
    expect(world.run("ADD", { ipam })).toMatchObject(answer);
    expect(world.run("STATUS", { ipam })).toMatchObject(answer);
    expect(world.pools()).toEqual({});
    expect(world.run("DEL", { ipam })).toEqual({});
  });

  test.each([
    [{ ipv4_pools: ["127.0.0.0/16"] }, 'of "ipam.ipv4_pools": it overlaps with 127.0.0.0/8, which pods must not use'],
    [{ ipv4_pools: ["0.0.0.0/0"] }, 'of "ipam.ipv4_pools": it overlaps with 0.0.0.0/8, which pods must not use'],
    [{ ipv4_pools: ["239.1.0.0/16"] }, 'of "ipam.ipv4_pools": it overlaps with 224.0.0.0/3, which pods must not use'],
    [
      { ...six, ipv6_pools: ["fe80:1::/64"] },
      'of "ipam.ipv6_pools": it overlaps with fe80::/10, which pods must not use',
    ],
    [{ ipv4_pools: ["10.1.0.0/16", "10.1.2.0/24"] }, 'of "ipam.ipv4_pools": it overlaps with "10.1.0.0/16"'],
  ])("of %j is refused before a pool is made", (ipam, reason) => {
    const msg = expect.stringContaining(reason);
    expect(world.run("STATUS", { ipam })).toMatchObject({ code: 50, msg });
    expect(world.run("ADD", { ipam })).toMatchObject({ code: 7, msg });
    expect(world.pools()).toEqual({});
  });

  test("is judged for both families before one has its pools", () => {
    const ipam = { assign_ipv6: "true", ipv4_pools: ["10.7.0.0/24"], ipv6_pools: ["ff02::/64"] };
    expect(world.run("ADD", { ipam })).toMatchObject({ code: 7 });
    expect(world.pools()).toEqual({});
    expect(world.add({ ipam: { ...ipam, ipv6_pools: ["fd02::/64"] } })).toHaveLength(2);
  });

  test("may stand there twice", () => {
    world.add({ ipam: { ipv4_pools: ["10.7.0.0/24", "10.7.0.0/24"] } });
    expect(world.pools()).toEqual({ "default-ipv4-ippool": "10.7.0.0/24" });
  });

  test("of a pod's annotation is judged alike", () => {
    const annotations = { "cni.projectcalico.org/ipv4pools": '["10.1.2.3/16"]' };
    const document = { runtimeConfig: { "io.kubernetes.cri.pod-annotations": annotations } };
    expect(world.run("ADD", { document })).toMatchObject({
      code: 7,
      msg: expect.stringContaining('"10.1.2.3/16": it has host bits; write "10.1.0.0/16"'),
    });
  });
});

describe("calico-ipam: a missing pool", () => {
  test("is made by the command that the message has", () => {
    world.add();
    const { msg = "" } = world.run("ADD", { container: "b", ipam: { ipv4_pools: ["10.9.0.0/28"] } });
    const [, text = ""] = /echo '(.*)' \| tortie apply -f -$/.exec(msg) ?? [];
    const { kind, metadata, spec } = parse(text);
    expect(kind).toBe("IPPool");
    world.pool(metadata.name, spec);
    expect(world.add({ container: "b", ipam: { ipv4_pools: ["10.9.0.0/28"] } })[0]).toMatch(/^10\.9\.0\./);
  });

  test("because it is disabled is enabled by the command that the message has", () => {
    world.pool("off", { cidr: "10.9.0.0/24", disabled: true });
    expect(world.run("ADD", { ipam: { ipv4_pools: ["10.9.0.0/24"] } })).toMatchObject({
      code: 7,
      msg: expect.stringMatching(
        /; enable it: tortie get ippool off -o yaml \| sed 's\/disabled: true\/disabled: false\/' \| tortie apply -f -$/,
      ),
    });
  });

  test("is made under another name where its own is taken by the other family's", () => {
    world.pool("default-ipv4-ippool", { cidr: "fd00:7::/64" });
    expect(world.add({ ipam: { ipv4_pools: ["10.65.0.0/24"] } })[0]).toMatch(/^10\.65\.0\./);
    expect(world.pools()).toEqual({ "default-ipv4-ippool": "fd00:7::/64", "ippool-10-65-0-0-24": "10.65.0.0/24" });
  });
});

describe("calico-ipam: the default pool", () => {
  test.each([
    ["192.168.0.0/16", ["10.0.0.5/24"]],
    ["172.16.0.0/16", ["192.168.1.10/24"]],
    ["172.16.0.0/16", ["192.168.122.1/24"]],
    ["172.17.0.0/16", ["192.168.1.10/24", "172.16.9.1/20"]],
    ["172.18.0.0/16", ["192.168.1.10/32", "172.16.9.1/15"]],
  ])("is %s on a node with %j", (cidr, addresses) => {
    addresses.forEach((address, index) => {
      world.uplink(`eth${index}`, address);
    });
    world.add();
    expect(world.pools()).toEqual({ "default-ipv4-ippool": cidr });
  });

  test.each([
    ["172.16.0.0/16", "192.168.50.0/24"],
    ["172.16.0.0/16", "192.168.0.0/16"],
    // A split default route, as VPNs create it.
    ["192.168.0.0/16", "128.0.0.0/1"],
    ["192.168.0.0/16", "0.0.0.0/0"],
  ])("is %s on a node with a route to %s", (cidr, destination) => {
    const link = world.uplink("eth0", "10.0.0.5/24");
    world.route(destination, link, "10.0.0.1");
    world.add();
    expect(world.pools()).toEqual({ "default-ipv4-ippool": cidr });
  });

  test("keeps clear of the node's resolver, but not of one on its loopback", () => {
    world.write("/etc/resolv.conf", "search lan\nnameserver 192.168.0.53 # the office\n");
    world.add();
    expect(world.pools()).toEqual({ "default-ipv4-ippool": "172.16.0.0/16" });
    const other = new IpamWorld();
    other.write("/etc/resolv.conf", "nameserver 127.0.0.53\n");
    other.add();
    expect(other.pools()).toEqual({ "default-ipv4-ippool": "192.168.0.0/16" });
  });

  test("does not keep clear of pods and of Calico's own tunnels", () => {
    world.uplink("vxlan.calico", "192.168.9.128/32");
    world.add();
    expect(world.pools()).toEqual({ "default-ipv4-ippool": "192.168.0.0/16" });
  });

  test("is refused where every candidate is taken, and STATUS tells", () => {
    world.uplink("eth0", "192.168.1.10/24");
    world.uplink("eth1", "172.16.0.9/12");
    const msg = expect.stringContaining('name a free range in "ipam.ipv4_pools"');
    expect(world.run("STATUS")).toMatchObject({ code: 50, msg });
    expect(world.run("ADD")).toMatchObject({ code: 7, msg });
    expect(world.pools()).toEqual({});
  });
});

describe("calico-ipam: a pool of the configuration", () => {
  test.each([
    ["192.168.0.0/16", 'it contains the node\'s own address 192.168.1.10 ("eth0")'],
    ["192.168.1.8/29", 'it contains the node\'s own address 192.168.1.10 ("eth0")'],
    ["192.168.1.0/30", "it contains the node's gateway 192.168.1.1"],
    ["192.168.1.53/32", "it contains the node's resolver 192.168.1.53"],
  ])("%s is refused on 192.168.1.10/24, and STATUS tells", (cidr, reason) => {
    const link = world.uplink("eth0", "192.168.1.10/24");
    world.route("0.0.0.0/0", link, "192.168.1.1");
    world.write("/etc/resolv.conf", "nameserver 192.168.1.53\n");
    const msg = `cannot create pool "${cidr}" of "ipam.ipv4_pools": ${reason}, so pods could not reach that host; configure a range outside the node's networks`;
    expect(world.run("STATUS", { ipam: { ipv4_pools: [cidr] } })).toMatchObject({ code: 50, msg });
    expect(world.run("ADD", { ipam: { ipv4_pools: [cidr] } })).toMatchObject({ code: 7, msg });
    expect(world.pools()).toEqual({});
  });

  test("of IPv6 is judged alike", () => {
    world.uplink("eth0", "fd00:1::10/64");
    const ipam = { assign_ipv4: "false", assign_ipv6: "true", ipv6_pools: ["fd00:1::/112"] };
    expect(world.run("ADD", { ipam })).toMatchObject({
      code: 7,
      msg: expect.stringContaining('contains the node\'s own address fd00:1::10 ("eth0")'),
    });
  });

  test("inside the node's network, beside all that is known there, is made with a warning", () => {
    world.uplink("eth0", "192.168.1.10/24");
    const ipam = { ipv4_pools: ["192.168.1.128/26"] };
    expect(world.add({ ipam })[0]).toMatch(/^192\.168\.1\./);
    expect(world.log).toContain("lies in the node's network 192.168.1.0/24");
    world.run("STATUS", { ipam });
    expect(world.log).toContain('IPPool \\"default-ipv4-ippool\\" (192.168.1.128/26) lies in the node\'s network');
  });

  test("behind a bridge holds the bridge's own address", () => {
    world.uplink("cni0", "10.9.0.1/24");
    const ipam = { ipv4_pools: ["10.9.0.0/24"], gateways: ["10.9.0.1"] };
    expect(world.add({ ipam, document: { type: "bridge" } })[0]).toMatch(/^10\.9\.0\./);
    const other = new IpamWorld();
    other.uplink("cni0", "10.9.0.1/24");
    expect(other.add({ ipam })[0]).toMatch(/^10\.9\.0\./);
  });
});

describe("calico-ipam: an address of the node", () => {
  /** The addresses of the pool that pods get. */
  function given(ipam: object, document: object = {}): readonly string[] {
    const addresses: string[] = [];
    for (let i = 0; i < 70; i++) {
      const { ips, code } = world.run("ADD", { container: `c${i}`, ipam, document });
      if (ips === undefined) {
        expect(code).toBe(102);
        break;
      }
      addresses.push(...ips.map(({ address }) => address.replace(/\/.*/, "")));
    }
    return addresses;
  }

  test.each([["calico"], ["macvlan"]])(
    "and its gateway's go to no pod of a pool inside its network, under %s",
    (type) => {
      const link = world.uplink("eth0", "192.168.1.10/24");
      world.route("0.0.0.0/0", link, "192.168.1.9");
      world.pool("lan", { cidr: "192.168.1.8/29", blockSize: 29 });
      const addresses = given({ ipv4_pools: ["lan"] }, { type });
      expect(addresses).toEqual([8, 11, 12, 13, 14, 15].map((last) => `192.168.1.${last}`));
    },
  );

  test("is refused if requested, and so is its network if the pool is wider", () => {
    world.uplink("eth0", "192.168.1.10/24");
    world.pool("wide", { cidr: "192.168.0.0/16" });
    expect(world.run("ADD", { args: "IP=192.168.1.10" })).toMatchObject({
      code: 102,
      msg: "cannot assign address 192.168.1.10: it is an address of the node",
    });
    expect(world.run("ADD", { args: "IP=192.168.1.77" })).toMatchObject({
      code: 102,
      msg: 'cannot assign address 192.168.1.77: it is in the node\'s network 192.168.1.0/24 ("eth0")',
    });
    expect(world.add({ args: "IP=192.168.2.77" })).toEqual(["192.168.2.77"]);
  });

  test("that the node got after the pool was made is passed over, with its network, and the log says so", () => {
    world.pool("small", { cidr: "10.7.0.0/25", blockSize: 26 });
    world.uplink("eth0", "10.7.0.2/27");
    const addresses = given({ ipv4_pools: ["small"] });
    expect(addresses.every((address) => Number(address.split(".")[3]) >= 32)).toBe(true);
    expect(addresses).toHaveLength(70);
    const other = new IpamWorld();
    other.pool("small", { cidr: "10.7.0.0/26", blockSize: 26 });
    other.uplink("eth0", "10.7.0.2/27");
    other.add();
    expect(other.log).toContain("10.7.0.0/27");
  });

  test("no block is claimed in a network of the node", () => {
    world.pool("wide", { cidr: "10.7.0.0/24", blockSize: 26 });
    world.uplink("eth0", "10.7.0.130/25");
    const addresses = given({ ipv4_pools: ["wide"] });
    expect(addresses.length).toBe(70);
    expect(addresses.every((address) => Number(address.split(".")[3]) < 128)).toBe(true);
    expect([...world.machine.files.list("/run/tortie/ipam/blocks")].sort()).toEqual([
      "10-7-0-0-26.json",
      "10-7-0-64-26.json",
    ]);
  });

  test("what it holds by now an attachment keeps", () => {
    world.pool("small", { cidr: "10.7.0.0/26" });
    const [address = ""] = world.add();
    world.uplink("eth0", `${address}/32`);
    expect(world.add()).toEqual([address]);
    expect(world.add({ container: "b" })).not.toEqual([address]);
  });
});

describe("calico-ipam: a pool with an unreadable file", () => {
  const directory = "/var/lib/tortie/ippools";

  function names(world: IpamWorld): readonly string[] {
    return world.machine.files.list(directory).filter((name) => name.endsWith(".json"));
  }

  test.each<[string, object]>([
    ["without pools in the configuration", {}],
    ["with another pool in the configuration", { ipv4_pools: ["10.244.64.0/20"] }],
  ])("%s: no pool is made beside it, STATUS and ADD say which it is, and its repair is enough", (_, ipam) => {
    const world = new IpamWorld();
    world.add();
    const [name = ""] = names(world);
    const whole = world.machine.files.read(`${directory}/${name}`);
    world.machine.files.write(`${directory}/${name}`, "");
    // The node remembers the last used pool; the namespace of another node does not.
    for (const call of [
      { container: "c2", ipam },
      { container: "c3", ipam, hostname: "node-2" },
    ]) {
      const answer = world.run("ADD", call);
      if (call.hostname !== undefined) {
        expect(answer).toMatchObject({ code: 103, msg: expect.stringContaining('IPPool "default-ipv4-ippool"') });
      }
      expect(names(world)).toEqual([name]);
    }
    expect(world.run("STATUS", { ipam })).toMatchObject({
      code: 50,
      msg: expect.stringContaining('cannot read IPPool "default-ipv4-ippool"'),
    });
    world.machine.files.write(`${directory}/${name}`, whole);
    expect(world.run("STATUS", {})).toEqual({});
  });
});
