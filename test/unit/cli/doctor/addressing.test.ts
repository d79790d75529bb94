/** Pools that overlap with the node's networks, and blocks of other node names. */
import { describe, expect, test } from "vitest";
import { type AddressingFacts, checkAddressing, gatherAddressing } from "../../../../src/cli/doctor/addressing.ts";
import { applyFix } from "../../../../src/cli/doctor/fixing.ts";
import { newAffinity } from "../../../../src/ipam/model/affinity.ts";
import { assign, newBlock, withSpec } from "../../../../src/ipam/model/block.ts";
import { formatObject } from "../../../../src/store/file/layout.ts";
import type { StoredObject } from "../../../../src/store/object.ts";
import { World } from "../world.ts";

const lan = [
  {
    ifname: "eth0",
    addr_info: [
      { local: "192.168.1.10", prefixlen: 24 },
      { local: "fd00:1::10", prefixlen: 64 },
      { local: "fe80::1", prefixlen: 64 },
    ],
  },
  { ifname: "lo", addr_info: [{ local: "127.0.0.1", prefixlen: 8 }] },
  { ifname: "vxlan.calico", addr_info: [{ local: "10.9.0.0", prefixlen: 32 }] },
  { ifname: "cni0", addr_info: [{ local: "10.8.0.1", prefixlen: 24 }] },
];
const routes = [
  { dst: "default", gateway: "192.168.1.1", dev: "eth0" },
  { dst: "192.168.1.0/24", dev: "eth0" },
];

function worldWith(...pools: readonly StoredObject[]): World {
  const world = new World({ node: "node-1" });
  world.programs.set("ip -j address show", JSON.stringify(lan));
  world.programs.set("ip -j -4 route show", JSON.stringify(routes));
  world.programs.set("ip -j -6 route show", "[]");
  world.write("/etc/resolv.conf", "nameserver 10.53.0.53\n");
  for (const one of pools) world.write(`/var/lib/tortie/ippools/${one.metadata.name}.json`, formatObject(one));
  return world;
}

function pool(name: string, spec: object): StoredObject {
  return { apiVersion: "projectcalico.org/v3", kind: "IPPool", metadata: { name }, spec };
}

function networks(ipam: object = {}, more: object = {}) {
  const document = { type: "calico", ...more, ipam: { type: "calico-ipam", ...ipam } };
  const network = { name: "net", cniVersion: "1.1.0", plugins: [{ type: "calico", document }] };
  return { directory: "/etc/cni/net.d", files: [{ path: "/etc/cni/net.d/10.conflist", network }] };
}

async function findings(world: World, ...conf: Parameters<typeof networks>) {
  return checkAddressing(await gatherAddressing(world.cli(), networks(...conf)));
}

describe("checkAddressing() of a pool", () => {
  test.each([
    [
      "192.168.0.0/16",
      "error",
      "contains the node's own address 192.168.1.10 (\"eth0\") and contains the node's gateway",
    ],
    ["192.168.1.0/30", "error", "contains the node's gateway 192.168.1.1: pods cannot reach that host"],
    ["10.53.0.0/24", "error", "contains the node's resolver 10.53.0.53"],
    ["fd00:1::/112", "error", "contains the node's own address fd00:1::10"],
    ["192.168.1.64/26", "warning", "lies in the node's network 192.168.1.0/24"],
    ["10.8.0.0/24", "error", 'contains the node\'s own address 10.8.0.1 ("cni0")'],
  ])("%s is an %s", async (cidr, severity, text) => {
    const blockSize = cidr.includes(":") ? 122 : 30;
    const [finding, ...others] = await findings(worldWith(pool("p", { cidr, blockSize })));
    expect(finding).toMatchObject({ id: "pool-overlaps-node", severity, subject: 'IPPool "p"' });
    expect(finding?.text).toContain(text);
    expect(others).toEqual([]);
  });

  test.each([
    ["that is clear of all networks", pool("p", { cidr: "10.7.0.0/16" }), {}],
    ["that a tunnel of Calico's has its address from", pool("p", { cidr: "10.9.0.0/16" }), {}],
    ["that is disabled", pool("p", { cidr: "192.168.0.0/16", disabled: true }), {}],
    ["behind a bridge, which the network names", pool("p", { cidr: "10.8.0.0/24" }), { gateways: ["10.8.0.1"] }],
  ])("%s is none", async (_, object, ipam) => {
    expect(await findings(worldWith(object), ipam)).toEqual([]);
  });

  test("with a field that nobody reads is a warning", async () => {
    const [finding] = await findings(worldWith(pool("p", { cidr: "10.7.0.0/16", natOutgoin: true })));
    expect(finding).toMatchObject({
      id: "pool-field-wrong",
      severity: "warning",
      text: 'has unknown field spec.natOutgoin (did you mean "natOutgoing"?): it has no effect, or another one than intended',
    });
  });

  test("that is applied is warned of by name", async () => {
    const world = worldWith();
    const document = JSON.stringify(pool("p", { cidr: "192.168.0.0/16" }));
    expect(await world.run("apply -f -", document)).toEqual({
      status: 0,
      stdout: 'IPPool "p" created\n',
      stderr:
        'tortie: warning: IPPool "p": its cidr 192.168.0.0/16 contains the node\'s own address 192.168.1.10 ("eth0")\n' +
        'tortie: warning: IPPool "p": its cidr 192.168.0.0/16 contains the node\'s gateway 192.168.1.1\n',
    });
    expect(await world.run("apply -f -", JSON.stringify(pool("q", { cidr: "10.7.0.0/16" })))).toMatchObject({
      stderr: "",
    });
  });
});

describe("checkAddressing() of another node's block", () => {
  const cidr = "10.7.0.0/26";

  function strayWorld({ used = 0, withBlock = true, node = "old\nname" } = {}): World {
    const world = worldWith(pool("p", { cidr: "10.7.0.0/16" }));
    const affinity = newAffinity(node, cidr, "confirmed");
    world.write(
      `/run/tortie/ipam/affinities/${encodeURIComponent(affinity.metadata.name)}.json`,
      formatObject(affinity),
    );
    const block = newBlock(cidr, `host:${node}`, 1n);
    const { spec } = assign(block.spec, used, { handle_id: "net.a" }, () => false);
    if (withBlock) {
      world.write("/run/tortie/ipam/blocks/10-7-0-0-26.json", formatObject(withSpec(block, spec)));
    }
    return world;
  }

  test.each([
    ["empty", { withBlock: true }],
    ["without its block", { withBlock: false }],
  ])("is told and given up when it is %s", async (_, options) => {
    const world = strayWorld({ ...options, node: "old-name" });
    const [finding] = await findings(world);
    expect(finding).toMatchObject({
      id: "block-of-other-node",
      severity: "warning",
      subject: cidr,
      text: 'belongs to node "old-name", and this node is "node-1": no node assigns addresses from it',
      fix: { kind: "reclaim", node: "old-name", cidr },
    });
    expect(await applyFix(world.cli(), finding as never, 0n)).toMatchObject([
      { text: `released block ${cidr} of node "old-name"` },
    ]);
    expect(await findings(world)).toEqual([]);
    expect(world.object("IPAMBlock", "10-7-0-0-26")).toBeUndefined();
    expect(world.object("BlockAffinity", "old-name-10-7-0-0-26")).toBeUndefined();
  });

  test("stays while an address of it is in use", async () => {
    const world = strayWorld({ used: 2, node: "old-name" });
    const [finding] = await findings(world);
    expect(finding).toMatchObject({ text: expect.stringContaining("2 addresses of it are in use yet") });
    expect(finding).not.toHaveProperty("fix");
  });

  test("stays when an address of it was taken after the look", async () => {
    const world = strayWorld({ node: "old-name" });
    const [finding] = await findings(world);
    const used = strayWorld({ used: 1, node: "old-name" });
    expect(await applyFix(used.cli(), finding as never, 0n)).toEqual([]);
    expect(used.object("IPAMBlock", "10-7-0-0-26")).toBeDefined();
  });

  test("shows its name on one line, whatever is in it", async () => {
    const facts: AddressingFacts = {
      ...(await gatherAddressing(worldWith().cli(), networks())),
      affinities: [{ cidr, node: "a b\nc", type: "host", state: "confirmed", deleted: "false" }],
    };
    expect(checkAddressing(facts)[0]?.text).toContain('belongs to node "a b\\nc"');
  });

  test.each([
    ["the network names it", {}, { nodename: "old-name" }],
    ["its file names it", {}, { nodename_file: "/etc/nodename" }],
  ])("is this node's when %s", async (_, ipam, more) => {
    const world = strayWorld({ node: "old-name" });
    world.write("/etc/nodename", "old-name\n");
    expect(await findings(world, ipam, more)).toEqual([]);
  });

  test("is not checked where no network asks calico-ipam", async () => {
    const facts = await gatherAddressing(strayWorld({ node: "old-name" }).cli(), { directory: "/x", files: [] });
    expect(checkAddressing(facts)).toEqual([]);
  });
});
