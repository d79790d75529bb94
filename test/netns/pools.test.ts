/** Pools and the node's networks, on the real kernel: its routes define which networks are the node's, in both families. */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Conflist, parseConflist } from "../lib/conflist.ts";
import { Node, nodeAddress4, nodeAddress6, outsideAddress4, outsideAddress6 } from "../lib/node/netns.ts";
import { ping } from "../lib/node/traffic.ts";
import { addressOf, Runner, type Sandbox } from "../lib/runtimes/runner.ts";
import { pluginDirs, requireBuild } from "../lib/suite.ts";

let node: Node;
let runner: Runner;
let pods = 0;

beforeEach(async () => {
  requireBuild();
  node = await Node.start();
  runner = new Runner({ node, pluginDirs });
});

afterEach(async () => {
  await node?.stop();
});

function conflist(ipam: object): Conflist {
  const main = { type: "calico", ipam: { type: "calico-ipam", ...ipam } };
  return parseConflist(JSON.stringify({ name: "net1", cniVersion: "1.1.0", plugins: [main] }));
}

function newPod(more: Partial<Sandbox> = {}): Sandbox & { readonly pod: string } {
  const pod = `pod${++pods}`;
  return { pod, containerId: `${pod}-0a1b2c`, netns: node.addPod(pod), ifname: "eth0", ...more };
}

function writePool(name: string, spec: object): void {
  const pool = { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec };
  const path = `/var/lib/tortie/ippools/${name}.json`;
  node.sh(`mkdir -p ${path.replace(/\/[^/]*$/, "")} && cat >${path}`, { stdin: JSON.stringify(pool) });
}

/** A second network of the node. */
function addLan(address: string): void {
  node.sh("ip link add lan type veth peer name switch; ip link set switch up; ip link set lan up");
  node.sh(`ip address add ${address} dev lan ${address.includes(":") ? "nodad" : ""}`);
}

/** All addresses that the IPAM plugin assigns, one interface name after the other, until none is left. */
function drain(ipam: object): readonly string[] {
  const { plugins, name, cniVersion } = conflist(ipam);
  const addresses: string[] = [];
  for (let i = 0; i < 300; i++) {
    const sandbox = { containerId: `c${i}`, netns: node.addPod(`drain${i}`), ifname: "eth0" };
    const call = runner.tryExec("ADD", "calico-ipam", { ...plugins[0], name, cniVersion }, sandbox);
    const answer = JSON.parse(call.stdout);
    if (call.status !== 0) {
      expect(answer).toMatchObject({ code: 102 });
      return addresses;
    }
    addresses.push(...answer.ips.map(({ address }: { readonly address: string }) => address.replace(/\/.*/, "")));
  }
  throw new Error("the pool has no end");
}

describe("the default pool", () => {
  test("leaves the network that the node is in, and pods reach that", () => {
    addLan("192.168.1.10/24");
    const pod = newPod();
    const address = addressOf(runner.add(conflist({}), pod));
    expect(address).toMatch(/^172\.16\./);
    expect(ping(node, pod.pod, "192.168.1.10")).toBe(true);
    expect(ping(node, pod.pod, outsideAddress4)).toBe(true);
  });

  test("leaves what the node has a route to, but for a default route in two parts", () => {
    node.sh(`ip route add 0.0.0.0/1 via ${outsideAddress4}; ip route add 128.0.0.0/1 via ${outsideAddress4}`);
    node.sh(`ip route add 192.168.44.0/24 via ${outsideAddress4}; ip route add 172.16.0.0/15 via ${outsideAddress4}`);
    expect(addressOf(runner.add(conflist({}), newPod()))).toMatch(/^172\.18\./);
  });
});

describe("a pool of the configuration", () => {
  test.each([
    ["the node's own address", { ipv4_pools: ["203.0.113.0/29"] }, nodeAddress4],
    ["the node's gateway", { ipv4_pools: ["203.0.113.2/31"] }, outsideAddress4],
    [
      "the node's own address",
      { assign_ipv4: "false", assign_ipv6: "true", ipv6_pools: ["2001:db8:99::/112"] },
      nodeAddress6,
    ],
    [
      "the node's gateway",
      { assign_ipv4: "false", assign_ipv6: "true", ipv6_pools: ["2001:db8:99::2/127"] },
      outsideAddress6,
    ],
  ])("with %s is refused: %j", (what, ipam, address) => {
    const list = conflist(ipam);
    const refused = expect.stringContaining(`it contains ${what} ${address}`);
    expect(() => runner.status(list)).toThrow(expect.objectContaining({ message: refused }));
    expect(() => runner.add(list, newPod())).toThrow(expect.objectContaining({ message: refused }));
    expect(node.sh("ls /var/lib/tortie/ippools 2>/dev/null || true")).toBe("");
  });
});

describe("an address of the node", () => {
  test("and its gateway's go to no pod of a pool inside its network", () => {
    writePool("lan", { cidr: "203.0.113.0/29", blockSize: 29 });
    const given = drain({ ipv4_pools: ["lan"] });
    expect(given).not.toContain(nodeAddress4);
    expect(given).not.toContain(outsideAddress4);
    expect(given).toEqual(expect.arrayContaining([3, 4, 5, 6, 7].map((last) => `203.0.113.${last}`)));
  });

  test("of IPv6 and its gateway's neither", () => {
    writePool("lan", { cidr: "2001:db8:99::/125", blockSize: 125 });
    const given = drain({ assign_ipv4: "false", assign_ipv6: "true", ipv6_pools: ["lan"] });
    expect(given).not.toContain(nodeAddress6);
    expect(given).not.toContain(outsideAddress6);
    expect(given).toEqual(expect.arrayContaining([3, 4, 5, 6, 7].map((last) => `2001:db8:99::${last}`)));
  });

  test.each([
    [4, "10.70.0.0/25", 26, "10.70.0.9/26", /^10\.70\.0\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])$/],
    [6, "fd70::/121", 122, "fd70::9/122", /^fd70::([4-7][0-9a-f])$/],
  ])("that the node gets later takes its network out of the pool: IPv%i", (family, cidr, blockSize, address, rest) => {
    writePool("small", { cidr, blockSize });
    addLan(address);
    const given = drain({ assign_ipv4: family === 4, assign_ipv6: family === 6, [`ipv${family}_pools`]: ["small"] });
    expect(given.filter((one) => !rest.test(one))).toEqual([]);
    expect(given).toHaveLength(64);
    expect(node.sh("ls /run/tortie/ipam/blocks").trim().split("\n")).toHaveLength(1);
  });

  test("is refused to whoever asks for it", () => {
    writePool("lan", { cidr: "203.0.113.0/24" });
    const pod = newPod({ args: [["IP", nodeAddress4]] });
    expect(() => runner.add(conflist({}), pod)).toThrow(
      `cannot assign address ${nodeAddress4}: it is an address of the node`,
    );
    const other = newPod({ args: [["IP", outsideAddress4]] });
    expect(() => runner.add(conflist({}), other)).toThrow(
      `cannot assign address ${outsideAddress4}: it is the node's gateway`,
    );
  });
});

test("calico with a pool inside the node's network: the node and the pods reach the node's neighbours", () => {
  writePool("lan", { cidr: "203.0.113.0/24" });
  writePool("lan6", { cidr: "2001:db8:99::/112" });
  const pod = newPod();
  const list = conflist({ assign_ipv6: "true", ipv4_pools: ["lan"], ipv6_pools: ["lan6"] });
  runner.add(list, pod);
  for (const address of [outsideAddress4, outsideAddress6]) expect(ping(node, undefined, address), address).toBe(true);
  for (const address of [nodeAddress4, nodeAddress6]) expect(ping(node, pod.pod, address), address).toBe(true);
  runner.del(list, pod);
  for (const address of [outsideAddress4, outsideAddress6]) expect(ping(node, undefined, address), address).toBe(true);
});

test("calico attaches pods on a node without routes", () => {
  node.sh("ip link set uplink down; ip route flush all; ip -6 route flush all");
  const ipam = { assign_ipv6: "true", ipv4_pools: ["10.71.0.0/24"], ipv6_pools: ["fd71::/64"] };
  const { ips = [] } = runner.add(conflist(ipam), newPod());
  expect(ips).toHaveLength(2);
});
